"""Maps of categories: annotations of several categories become one, or leave."""

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
    """What becomes of categories; those that it does not name stay as they are.

    Attributes
    ----------
    names
        The new name by the old one; empty text for one whose annotations are left out.

    Raises
    ------
    UsageError
        If a name is no text, is empty where it is an old one, or is too long.

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
                    "characters; an empty new one leaves its annotations out"
                )

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The categories whose annotations are left out."""
        return tuple(old for old, new in self.names.items() if not new)

    def renamed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the new name of each."""
        return tuple(self.names.get(name, name) for name in names)

    def content(self) -> dict[str, str]:
        """Return all that annotations depend on, as JSON has it."""
        return dict(sorted(self.names.items()))

    def check(self, known: Iterable[str], source: str) -> str:
        """Return a line on what becomes of the categories of a source.

        Raises
        ------
        UsageError
            If the map names one that the source does not have.
        """
        there = sorted(set(known) - {""})
        if unknown := [name for name in self.names if name not in there]:
            have = f"has {', '.join(map(printable, there))}" if there else "has no categories"
            raise UsageError(f"category {printable(unknown[0])} is to be mapped, but {source} {have}")
        parts = [f"{printable(old)} -> {printable(new)}" for old, new in sorted(self.names.items()) if new]
        parts += [f"{printable(name)} left out" for name in sorted(self.dropped)]
        kept = [printable(name) for name in there if name not in self.names]
        return "categories: " + "; ".join([*parts, *([f"kept as they are: {', '.join(kept)}"] if kept else [])])


def read_category_map(what: "Path | str | Mapping[str, str] | DataFrame") -> CategoryMap:
    r"""Read what becomes of categories.

    Parameters
    ----------
    what
        A JSON file with an object of new names by old ones; a CSV, Parquet file or data frame with the columns ``old``
        and ``new``; or a mapping.

    Raises
    ------
    SourceError
        If the file cannot be read, or is none of these.
    UsageError
        If a name is impossible, or an old one is mapped twice.

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
        raise SourceError(f"cannot read the categories {path}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f'{path} holds {described(content)}: give an object, as {{"old name": "new name"}}')
    return CategoryMap({old: "" if new is None else new for old, new in content.items()})


def _of_table(what: "Path | str | DataFrame") -> dict[str, str]:
    table = open_table(what, set(_COLUMNS).issubset)
    lines = table.rows()
    _, header = next(lines)
    if not set(_COLUMNS) <= set(header):
        raise SourceError(f"{table.path}: it needs the columns old and new: the names of categories before and after")
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
        "CSV with the columns old and new, or JSON, of names of categories: these become others, several one; an empty "
        "new name leaves its annotations out. Other categories stay.",
        metavar="FILE",
        parse=read_category_map,
    ),
]
