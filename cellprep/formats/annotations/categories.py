"""Category maps: categories of annotations are renamed, merged or dropped."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cellprep.errors import SourceError, UsageError
from cellprep.formats.tables import open_table
from cellprep.store.metadata import LONGEST_TYPE
from cellprep.system.files import read_file
from cellprep.system.options import Option
from cellprep.system.places import as_place
from cellprep.text.frames import is_frame
from cellprep.text.wording import described, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = ("old", "new")


@dataclass(frozen=True, slots=True)
class CategoryMap:
    """New names of categories; categories without one are kept.

    Attributes
    ----------
    names
        New names by old names; an empty string drops the annotations of the category.

    Raises
    ------
    UsageError
        If a name is not a string or is too long, or an old name is empty.

    Examples
    --------
    >>> categories = CategoryMap({"astro": "glia", "debris": ""})
    >>> categories.renamed(["astro", "neuron"]), categories.dropped
    (('glia', 'neuron'), ('debris',))
    """

    names: Mapping[str, str]

    def __post_init__(self) -> None:
        for old, new in self.names.items():
            if not (isinstance(old, str) and isinstance(new, str) and old and max(len(old), len(new)) <= LONGEST_TYPE):
                raise UsageError(
                    f"categories map {str(old)[:80]!r} to {str(new)[:80]!r}: give names of at most {LONGEST_TYPE} "
                    "characters; an empty new name drops the annotations"
                )

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Categories whose annotations are dropped."""
        return tuple(old for old, new in self.names.items() if not new)

    def renamed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the new names of categories."""
        return tuple(self.names.get(name, name) for name in names)

    def content(self) -> dict[str, str]:
        """Return everything that affects annotations, as a JSON object."""
        return dict(sorted(self.names.items()))

    def check(self, known: Iterable[str], source: str) -> str:
        """Return a line that describes the effect on the categories of a source.

        Raises
        ------
        UsageError
            If the map names a category that the source does not have.
        """
        there = sorted(set(known) - {""})
        if unknown := [name for name in self.names if name not in there]:
            have = f"has {', '.join(map(printable, there))}" if there else "has no categories"
            raise UsageError(f"the category map names {printable(unknown[0])}, but {source} {have}")
        parts = [f"{printable(old)} -> {printable(new)}" for old, new in sorted(self.names.items()) if new]
        parts += [f"{printable(name)} left out" for name in sorted(self.dropped)]
        kept = [printable(name) for name in there if name not in self.names]
        return "categories: " + "; ".join([*parts, *([f"kept as they are: {', '.join(kept)}"] if kept else [])])


def read_category_map(what: "Path | str | Mapping[str, str] | DataFrame") -> CategoryMap:
    r"""Read a category map.

    Parameters
    ----------
    what
        A JSON file with an object of new names by old names; a CSV file, Parquet file or data frame with the columns
        ``old`` and ``new``; or a mapping.

    Raises
    ------
    SourceError
        If the file cannot be read, or has another format.
    UsageError
        If a name is invalid, or an old name is mapped twice.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "map.csv")
    ...     _ = file.write_text("old,new\nastro,glia\ndebris,\n")
    ...     read_category_map(file).content()
    {'astro': 'glia', 'debris': ''}
    """
    if isinstance(what, Mapping):
        return CategoryMap(dict(what))
    if is_frame(what) or as_place(what).suffix.lower() != ".json":
        return CategoryMap(_of_table(what))
    path = as_place(what)
    try:
        content = json.loads(read_file(path))
    except OSError as error:
        raise SourceError(f"cannot read the category map {path}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f'{path} contains {described(content)}: give an object, such as {{"old name": "new name"}}')
    return CategoryMap({old: "" if new is None else new for old, new in content.items()})


def _of_table(what: "Path | str | DataFrame") -> dict[str, str]:
    table = open_table(what, set(_COLUMNS).issubset)
    lines = table.rows()
    _, header = next(lines)
    if not set(_COLUMNS) <= set(header):
        raise SourceError(f"{table.path} needs the columns old and new, with the old and new names of categories")
    names: dict[str, str] = {}
    for number, values in lines:
        line = dict(zip(header, values, strict=False))
        old, new = (line.get(name, "").strip() for name in _COLUMNS)
        if old in names:
            raise UsageError(f"{table.path} row {number}: category {printable(old)} is mapped twice: keep one row")
        names[old] = new
    return names


CategoriesAre = Annotated[
    CategoryMap | None,
    Option(
        "CSV with the columns old and new, or JSON object, that renames categories: the same new name merges them, an "
        "empty one drops their annotations. Other categories are kept.",
        metavar="FILE",
        parse=read_category_map,
        group="Annotations",
    ),
]
