"""Reader of Kaggle's CSV: one annotation per row, with columns id, annotation, width, height, cell_type.

The columns of the 2018 Data Science Bowl are read as well: ImageId, EncodedPixels, whose runs count down the columns
and whose sizes only the images tell; and those of a submission to Sartorius: id, predicted.

A first reading counts the rows of each image, a second one hands each image on as soon as its last row has been seen:
only images whose rows are still to come are in memory, which is one at a time if rows of an image stand together.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from sys import intern
from textwrap import shorten
from typing import NamedTuple

from cellprep.annotations.csv_image import CSVImage
from cellprep.annotations.record import FaultyImage, ImageRecord, most_common
from cellprep.annotations.source import Source
from cellprep.errors import AnnotationError, SourceError, UsageError
from cellprep.image_ids import id_problem
from cellprep.rle import Order

__all__ = ["KaggleCSV"]

_NEEDED = ("id", "annotation")
_OPTIONAL = ("width", "height", "cell_type")
_OTHER_NAMES = {"ImageId": "id", "EncodedPixels": "annotation", "predicted": "annotation"}


class _Row(NamedTuple):
    """A row as the file has it; `problem` says what is wrong with its number of fields."""

    number: int
    id: str
    annotation: str
    width: str
    height: str
    cell_type: str
    problem: str


class KaggleCSV(Source):
    """Annotations in a CSV file.

    Parameters
    ----------
    path
        The file.
    order
        The order in which its masks count pixels; along the rows unless given, but down the columns if the column
        is called EncodedPixels.

    Raises
    ------
    SourceError
        If the file cannot be read, is no CSV in UTF-8, or lacks a column.
    """

    format = "kaggle-csv"

    def __init__(self, path: Path, order: Order | None = None) -> None:
        if not path.is_file():
            raise SourceError(f"{path} is not a file of its own: a CSV is read more than once")
        super().__init__(path)
        self._columns = self._header()
        self._order: Order = order or ("column" if "EncodedPixels" in self._columns else "row")
        self.order = self._order
        self.needs_images = "width" not in self._columns
        self._rows_of = Counter(row.id for row in self._rows())
        if not self._rows_of:
            raise SourceError(f"{path} holds no annotations: there is no row below the header")
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether a path looks like a CSV file."""
        return path.is_file() and path.suffix.lower() == ".csv"

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, in the order of their first rows."""
        return list(self._rows_of)

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image when its last row has been read."""
        pending: dict[str, list[_Row]] = {}
        yielded = 0
        for row in self._rows():
            pending.setdefault(row.id, []).append(row)
            if len(pending[row.id]) == self._rows_of[row.id]:
                yield self._image(row.id, pending.pop(row.id))
                yielded += 1
        if pending or yielded != len(self._rows_of):
            raise SourceError(f"{self.path} was changed while it was read: run the command again")

    def values(self, column: str) -> dict[str, str]:
        """Return what a column says of each image, without spaces around it.

        Rows whose number of fields is not the header's do not count: their images are at fault.
        """
        header = self._columns
        place = self._own_column(header, column)
        id_place = next(k for k, name in enumerate(header) if _OTHER_NAMES.get(name, name) == "id")
        found: dict[str, tuple[int, str]] = {}
        for number, values in islice(self._table(), 1, None):
            if len(values) != len(header):
                continue
            image_id, value = values[id_place], values[place].strip()
            first, known = found.setdefault(image_id, (number, value))
            if value != known:
                raise SourceError(
                    f"{self.name} row {number}: {column} {value!r} contradicts {known!r} in row {first}: "
                    f"all rows of image {image_id!r} must have the same"
                )
        return {image_id: value for image_id, (_, value) in found.items()}

    def _own_column(self, header: list[str], column: str) -> int:
        """Return the place of a column that annotations are not made of."""
        own = [name for name in header if name not in (*_NEEDED, *_OPTIONAL, *_OTHER_NAMES)]
        if column not in own:
            found = shorten(", ".join(map(repr, own)), 200, placeholder=" ...") or "none"
            raise UsageError(f"{self.name} has no column {column!r} to group images by; it has: {found}")
        if own.count(column) > 1:
            raise UsageError(f"{self.name} has the column {column!r} twice")
        return header.index(column)

    def _image(self, image_id: str, rows: list[_Row]) -> ImageRecord | FaultyImage:
        try:
            return self._checked_image(image_id, rows)
        except AnnotationError as error:
            return FaultyImage(image_id, str(error))

    def _checked_image(self, image_id: str, rows: list[_Row]) -> CSVImage:
        first = rows[0]
        if problem := id_problem(image_id):
            raise self._fault(first, problem)
        shape = self._shape(first)
        for row in rows:
            if row.problem:
                raise self._fault(row, row.problem)
            for name in ("height", "width"):
                here, there = getattr(row, name), getattr(first, name)
                if here != there and self._size(row, name) != self._size(first, name):
                    raise self._fault(row, f"{name} {here} contradicts {there} in row {first.number}")
        cells = rows if len(rows) > 1 or first.annotation.strip() else []
        return CSVImage(
            image_id=image_id,
            shape=shape,
            masks=tuple(row.annotation for row in cells),
            order=self._order,
            rows=tuple(row.number for row in cells),
            cell_types=tuple(row.cell_type for row in cells),
            cell_type=most_common([row.cell_type for row in rows]),
            source=self.name,
        )

    def _shape(self, row: _Row) -> tuple[int, int] | None:
        if "width" not in self._columns:
            return None
        return self._size(row, "height"), self._size(row, "width")

    def _size(self, row: _Row, name: str) -> int:
        text: str = getattr(row, name).strip()
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
            raise self._fault(row, row.problem or f"{name} {text!r} is not a whole number of pixels above 0")
        return int(text)

    def _fault(self, row: _Row, problem: str) -> AnnotationError:
        return AnnotationError(f"{self.name} row {row.number}: {problem}")

    def _rows(self) -> Iterator[_Row]:
        header = self._columns
        places = self._places(header)
        for number, values in islice(self._table(), 1, None):
            if len(values) == len(header):
                image_id, annotation, width, height, cell_type = (
                    "" if place is None else values[place] for place in places
                )
                # What a million cells of an image have in common is in memory once.
                yield _Row(number, intern(image_id), annotation, intern(width), intern(height), intern(cell_type), "")
            else:
                yield _incomplete_row(number, values, header, places)

    def _header(self) -> list[str]:
        _, names = next(self._table())
        return [name.strip() for name in names]

    def _table(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the fields of the header, and of every row that is not empty."""
        csv.field_size_limit(2**31 - 1)
        number = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                yield 1, next(reader, [])
                for number, values in enumerate(reader, start=2):
                    if values:
                        yield number, values
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.path} after row {number}: the text is not UTF-8") from error
        except csv.Error as error:
            raise SourceError(f"{self.path} after row {number}: {error}") from error

    def _places(self, columns: list[str]) -> list[int | None]:
        """Return the place in the file of each of the columns that a row is made of."""
        header = [_OTHER_NAMES.get(name, name) for name in columns]
        needed = (*_NEEDED, "width", "height") if {"width", "height"} & set(header) else _NEEDED
        missing = [name for name in needed if name not in header]
        if missing:
            found = shorten(", ".join(map(repr, columns)), 200, placeholder=" ...") or "none"
            raise SourceError(
                f"{self.path} row 1: column {', '.join(missing)} is missing: a CSV of annotations has the columns "
                f"{', '.join(_NEEDED)} (or {', '.join(_OTHER_NAMES)}), and may have {', '.join(_OPTIONAL)}; "
                f"found: {found}"
            )
        twice = [name for name in (*_NEEDED, *_OPTIONAL) if header.count(name) > 1]
        if twice:
            raise SourceError(f"{self.path} row 1: column {', '.join(twice)} is there twice")
        return [header.index(name) if name in header else None for name in (*_NEEDED, *_OPTIONAL)]


def _incomplete_row(number: int, values: list[str], header: list[str], places: list[int | None]) -> _Row:
    fields = [values[place] if place is not None and place < len(values) else "" for place in places]
    return _Row._make([number, *fields, f"its number of fields is {len(values)}, the header's {len(header)}"])
