"""Partially annotated images: regions to ignore, which are neither cells nor background."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from cellprep.errors import UsageError
from cellprep.system.options import Option, documented, take_values
from cellprep.text.wording import count, printable


class Ignored(NamedTuple):
    """Counts of ignored parts of one or more images.

    Attributes
    ----------
    regions
        Regions that are marked by a class, or components of a number of a label image.
    annotated
        Regions outside of which nothing is annotated.
    at_edge
        Cells at the edge of their image.
    within
        Other cells with most of their pixels in regions to ignore.
    absent
        Descriptions of labels and classes that were given but do not occur.
    """

    regions: int = 0
    annotated: int = 0
    at_edge: int = 0
    within: int = 0
    absent: frozenset[str] = frozenset()

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> "Ignored":
        """Return the object for a result of `counts`."""
        return cls(**{name: counts.get(name, 0) for name in _COUNTS})  # type: ignore[arg-type]

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}


_COUNTS = ("regions", "annotated", "at_edge", "within")


def total(ignored: Iterable[Ignored | None]) -> Ignored | None:
    """Sum the ignored parts of images, with labels and classes absent from all; None if nothing was to be ignored.

    Examples
    --------
    >>> total([Ignored(1, at_edge=2), None, Ignored(2)]).counts()
    {'regions': 3, 'annotated': 0, 'at_edge': 2, 'within': 0}
    """
    known = [one for one in ignored if one is not None]
    if not known:
        return None
    sums = Ignored.of_counts({name: sum(getattr(one, name) for one in known) for name in _COUNTS})
    return sums._replace(absent=frozenset.intersection(*(one.absent for one in known)))


def ignored_notes(ignored: Ignored | None) -> list[str]:
    """Return lines about ignored parts and options without effect; empty if nothing was to be ignored.

    Examples
    --------
    >>> ignored_notes(Ignored(3, at_edge=12, absent=frozenset(["class debirs"])))
    ['3 regions ignored, 12 cells at the edge ignored', 'warning: no image has class debirs']
    """
    if ignored is None:
        return []
    parts = {
        f"{count(ignored.regions, 'region')} ignored": ignored.regions,
        f"everything outside {count(ignored.annotated, 'annotated region')} ignored": ignored.annotated,
        f"{count(ignored.at_edge, 'cell')} at the edge ignored": ignored.at_edge,
        f"{count(ignored.within, 'cell')} mostly in ignored regions ignored": ignored.within,
    }
    lines = [", ".join(words for words, number in parts.items() if number) or "nothing to ignore was found"]
    return lines + [f"warning: no image has {' or '.join(sorted(ignored.absent))}"] * bool(ignored.absent)


def named_label(number: int) -> str:
    """Describe an ignored number of label images."""
    return f"label {number}"


def named_class(name: str) -> str:
    """Describe a class of regions."""
    return f"class {printable(name)}"


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The annotated part of images. Everything else is ignored in training, scores and measurements.

    It is true if an option is set.

    Raises
    ------
    UsageError
        If a value is invalid, or a class is given with two meanings.
    """

    ignore_labels: Annotated[
        Sequence[int],
        Option(
            "Number in label images that marks unannotated pixels, such as 255 or -1; repeatable.",
            flags=("--ignore-label",),
            metavar="NUMBER",
            group="Annotations",
        ),
    ] = ()
    ignore_classes: Annotated[
        Sequence[str],
        Option(
            "Class, category or type of annotations that are regions to ignore, not cells; repeatable.",
            flags=("--ignore-class",),
            metavar="NAME",
            group="Annotations",
        ),
    ] = ()
    annotated_classes: Annotated[
        Sequence[str],
        Option(
            "Class of regions, such as rectangles, outside of which nothing is annotated; repeatable. An image without "
            "such a region fails.",
            flags=("--annotated-class",),
            metavar="NAME",
            group="Annotations",
        ),
    ] = ()
    drop_edge: Annotated[bool, Option("Ignore cells that touch the edge of their image.", group="Annotations")] = False

    def __post_init__(self) -> None:
        take_values(self)
        if wrong := [number for number in self.ignore_labels if type(number) is not int]:
            raise UsageError(f"ignore_labels contains {wrong[0]!r}: give whole numbers")
        if both := set(self.ignore_classes).intersection(self.annotated_classes):
            raise UsageError(f"class {min(both)!r} is given both as ignored and as annotated: give it once")
        if "" in self.classes:
            raise UsageError("a class of regions is empty: give its name")

    def __bool__(self) -> bool:
        return bool(self.ignore_labels or self.classes or self.drop_edge)

    def __str__(self) -> str:
        """Describe what is ignored."""
        parts = [
            *map(named_label, self.ignore_labels),
            *map(named_class, self.ignore_classes),
            *(
                ["everything outside " + ", ".join(map(printable, self.annotated_classes))]
                * bool(self.annotated_classes)
            ),
            *(["cells at the edge"] * self.drop_edge),
        ]
        return f"to ignore: {'; '.join(parts)}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of annotations that are regions, not cells."""
        return (*self.ignore_classes, *self.annotated_classes)

    def content(self) -> list[Any]:
        """Return everything that affects annotations, as JSON values."""
        return [sorted(self.ignore_labels), sorted(self.ignore_classes), sorted(self.annotated_classes), self.drop_edge]


#: Ignores nothing.
ALL_ANNOTATED = Partial()
