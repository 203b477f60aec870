"""Images of which only parts are annotated: regions to ignore, which are neither cells nor background."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from cellprep.errors import UsageError
from cellprep.system.options import Option, documented, take_values
from cellprep.text.wording import count, printable


class Ignored(NamedTuple):
    """Numbers of what is ignored in an image, or in several.

    Attributes
    ----------
    regions
        Regions that are marked: by a class, or pieces of a number of a label image.
    annotated
        Regions outside of which nothing is annotated.
    at_edge
        Cells at the edge of their image.
    within
        Further cells most of whose pixels are in regions to ignore.
    absent
        Labels and classes, in words, that were given and are not there.
    """

    regions: int = 0
    annotated: int = 0
    at_edge: int = 0
    within: int = 0
    absent: frozenset[str] = frozenset()

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> "Ignored":
        """Return the numbers that `counts` returned."""
        return cls(**{name: counts.get(name, 0) for name in _COUNTS})  # type: ignore[arg-type]

    def counts(self) -> dict[str, int]:
        """Return its numbers by name."""
        return {name: getattr(self, name) for name in _COUNTS}


_COUNTS = ("regions", "annotated", "at_edge", "within")


def total(ignored: Iterable[Ignored | None]) -> Ignored | None:
    """Return the sums of what is ignored in images, and what is absent in all; None if nothing was to be ignored.

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
    """Return lines on what is ignored, and on what was given in vain; none if nothing was to be.

    Examples
    --------
    >>> ignored_notes(Ignored(3, at_edge=12, absent=frozenset(["class debirs"])))
    ['3 regions ignored, 12 cells at the edge left to ignore', 'warning: no image has class debirs']
    """
    if ignored is None:
        return []
    parts = {
        f"{count(ignored.regions, 'region')} ignored": ignored.regions,
        f"all outside of {count(ignored.annotated, 'annotated region')} ignored": ignored.annotated,
        f"{count(ignored.at_edge, 'cell')} at the edge left to ignore": ignored.at_edge,
        f"{count(ignored.within, 'cell')} mostly in ignored regions left to ignore": ignored.within,
    }
    lines = [", ".join(words for words, number in parts.items() if number) or "nothing was found to ignore"]
    return lines + [f"warning: no image has {' or '.join(sorted(ignored.absent))}"] * bool(ignored.absent)


def named_label(number: int) -> str:
    """Return in words a number of label images that is ignored."""
    return f"label {number}"


def named_class(name: str) -> str:
    """Return in words a class of regions."""
    return f"class {printable(name)}"


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What of the images is annotated. All else is to be ignored: it counts in no training, score or measure.

    It is true if something is given.

    Raises
    ------
    UsageError
        If a value is none that it can have, or a class is given in two meanings.
    """

    ignore_labels: Annotated[
        Sequence[int],
        Option(
            "Number in label images that means: not annotated here, such as 255 or -1; repeatable.",
            flags=("--ignore-label",),
            metavar="NUMBER",
            group="Annotations",
        ),
    ] = ()
    ignore_classes: Annotated[
        Sequence[str],
        Option(
            "Class, category or type of annotations that are regions to ignore, and no cells; repeatable.",
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
            raise UsageError(f"ignore_labels has {wrong[0]!r}: give whole numbers")
        if both := set(self.ignore_classes).intersection(self.annotated_classes):
            raise UsageError(f"class {min(both)!r} is both to be ignored and what is annotated: give it once")
        if "" in self.classes:
            raise UsageError("a class of regions is empty: give its name")

    def __bool__(self) -> bool:
        return bool(self.ignore_labels or self.classes or self.drop_edge)

    def __str__(self) -> str:
        """Return in words what is ignored."""
        parts = [
            *map(named_label, self.ignore_labels),
            *map(named_class, self.ignore_classes),
            *(["all outside of " + ", ".join(map(printable, self.annotated_classes))] * bool(self.annotated_classes)),
            *(["cells at the edge"] * self.drop_edge),
        ]
        return f"to ignore: {'; '.join(parts)}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of annotations that are regions, and no cells."""
        return (*self.ignore_classes, *self.annotated_classes)

    def content(self) -> list[Any]:
        """Return everything that annotations depend on, as JSON has it."""
        return [sorted(self.ignore_labels), sorted(self.ignore_classes), sorted(self.annotated_classes), self.drop_edge]


#: Nothing is to be ignored.
ALL_ANNOTATED = Partial()
