"""The measures of many images, kept in a file until all are complete, so that memory use stays constant."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cellprep.commands.measure.image import Measured
from cellprep.core.measures import PROPERTIES
from cellprep.core.measures.by_window import Columns

if TYPE_CHECKING:
    from pandas import DataFrame

_ROWS_AT_ONCE = 20_000  # in a table
_OF_EVERY_CELL: dict[str, Any] = {
    "image": object,
    "label": np.int64,
    "row": np.int64,
    "cell_type": object,
    "class_probability": float,
}


class Pieces:
    """The columns of images, added in any order and returned in the order of their numbers.

    The columns of the table are known only at the end, as images may differ in channels, and may lack a pixel size.

    Parameters
    ----------
    properties
        Names in `PROPERTIES`, in the order of their columns.
    folder
        Folder of the file, which is hidden; by default the system's folder for temporary files.
    """

    def __init__(self, properties: Sequence[str], folder: Path | None = None) -> None:
        self._properties = properties
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `__exit__` closes it
        self._places: dict[int, tuple[int, tuple[str, ...]]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}  # stored once, as most images have the same columns
        self._channels: set[int] = set()
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, number: int, measured: Measured) -> None:
        """Keep the columns of an image."""
        names = tuple(measured.columns)
        self._places[number] = self._file.tell(), self._names.setdefault(names, names)
        self._channels.add(measured.channels)
        self._seen.update(names)
        for values in measured.columns.values():
            is_text = values.dtype == object
            np.save(self._file, np.array([text or "" for text in values]) if is_text else values, allow_pickle=False)

    def columns(self) -> dict[str, Any]:
        """Return the table's columns with the types of their values, in order."""
        found = dict(_OF_EVERY_CELL)
        for name in self._properties:
            for in_micrometres in (False, True):
                for channels in sorted(self._channels) or [0]:
                    columns = PROPERTIES[name].columns(name, channels, in_micrometres=in_micrometres)
                    found |= dict.fromkeys(columns, float if in_micrometres else PROPERTIES[name].kind)
        return {name: kind for name, kind in found.items() if name in self._seen or not self._seen}

    def frames(self) -> Iterator["DataFrame"]:
        """Yield the table in parts of its rows: at least one frame, which may be empty."""
        kinds = self.columns()
        waiting: list[Columns] = []
        rows, is_begun = 0, False
        for number in sorted(self._places):
            columns = self._load(*self._places[number])
            if not len(columns["label"]):
                continue
            waiting.append(columns)
            rows += len(columns["label"])
            if rows >= _ROWS_AT_ONCE:
                yield _frame(waiting, kinds)
                waiting, rows, is_begun = [], 0, True
        if waiting or not is_begun:
            yield _frame(waiting, kinds)

    def _load(self, place: int, names: Sequence[str]) -> Columns:
        self._file.seek(place)
        columns = {name: np.load(self._file, allow_pickle=False) for name in names}
        for name, kind in _OF_EVERY_CELL.items():
            if kind is object and name in columns:
                columns[name] = np.array([text or None for text in columns[name].tolist()], object)
        return columns


def _frame(parts: Sequence[Columns], kinds: Mapping[str, Any]) -> "DataFrame":
    """Return the rows of some images; a column that an image lacks is empty there."""
    from pandas import DataFrame

    columns = {}
    for name, kind in kinds.items():
        missing = None if kind is object else np.nan
        values = (part[name] if name in part else np.full(len(part["label"]), missing, kind) for part in parts)
        columns[name] = np.concatenate([np.empty(0, kind), *values])
    return DataFrame(columns).astype({name: "string" for name, kind in kinds.items() if kind is object})
