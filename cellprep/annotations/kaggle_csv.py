"""Reader of Kaggle's CSV: one annotation per row, with columns id, annotation, width, height, cell_type.

A first reading counts the rows of each image, a second one hands each image on as soon as its last row has been seen:
only images whose rows are still to come are in memory, which is one at a time if rows of an image stand together.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

from cellprep.annotations.record import FaultyImage, ImageAnnotations
from cellprep.errors import AnnotationError, SourceError, UsageError
from cellprep.image_ids import id_problem
from cellprep.rle import Order

__all__ = ["KaggleCSV"]

_NEEDED = ("id", "annotation", "width", "height")
_OPTIONAL = ("cell_type",)


class _Row(NamedTuple):
    """A row as the file has it; `problem` says what is wrong with its number of fields."""

    number: int
    id: str
    annotation: str
    width: str
    height: str
    cell_type: str
    problem: str


class KaggleCSV:
    """Annotations in a CSV file.

    Parameters
    ----------
    path
        The file.
    order
        The order in which its masks count pixels; along the rows unless given.

    Raises
    ------
    SourceError
        If the file cannot be read, is no CSV in UTF-8, or lacks a column.
    """

    format = "kaggle-csv"

    def __init__(self, path: Path, order: Order | None = None) -> None:
        if not path.is_file():
            raise SourceError(f"{path} is not a file of its own: a CSV is read more than once")
        self.path = path
        self.name = path.name
        self.order: Order = order or "row"
        self._rows_of = Counter(row.id for row in self._rows())
        if not self._rows_of:
            raise SourceError(f"{path} holds no annotations: there is no row below the header")
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, in the order of their first rows."""
        return list(self._rows_of)

    def images(self) -> Iterator[ImageAnnotations | FaultyImage]:
        """Yield each image when its last row has been read."""
        pending: dict[str, list[_Row]] = {}
        yielded = 0
        for row in self._rows():
            rows = pending.setdefault(row.id, [])
            rows.append(row)
            if len(rows) == self._rows_of[row.id]:
                yield self._image(row.id, pending.pop(row.id))
                yielded += 1
        if pending or yielded != len(self._rows_of):
            raise SourceError(f"{self.path} was changed while it was read: run the command again")

    def values(self, column: str) -> dict[str, str]:
        """Return what a column says of each image, without spaces around it.

        Rows whose number of fields is not the header's do not count: their images are at fault.
        """
        table = self._table()
        _, header = next(table)
        place, id_place = self._own_column(header, column), header.index("id")
        found: dict[str, tuple[int, str]] = {}
        for number, values in table:
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
        own = [name for name in header if name not in (*_NEEDED, *_OPTIONAL)]
        if column not in own:
            found = shorten(", ".join(map(repr, own)), 200, placeholder=" ...") or "none"
            raise UsageError(f"{self.name} has no column {column!r} to group images by; it has: {found}")
        if own.count(column) > 1:
            raise UsageError(f"{self.name} has the column {column!r} twice")
        return header.index(column)

    def _image(self, image_id: str, rows: list[_Row]) -> ImageAnnotations | FaultyImage:
        try:
            return self._checked_image(image_id, rows)
        except AnnotationError as error:
            return FaultyImage(image_id, str(error))

    def _checked_image(self, image_id: str, rows: list[_Row]) -> ImageAnnotations:
        first = rows[0]
        if problem := id_problem(image_id):
            raise self._fault(first, problem)
        height, width = self._size(first, "height"), self._size(first, "width")
        for row in rows:
            if row.problem:
                raise self._fault(row, row.problem)
            if row.height != first.height and self._size(row, "height") != height:
                raise self._fault(row, f"height {row.height} contradicts {height} in row {first.number}")
            if row.width != first.width and self._size(row, "width") != width:
                raise self._fault(row, f"width {row.width} contradicts {width} in row {first.number}")
            if not row.annotation.strip() and len(rows) > 1:
                raise self._fault(
                    row, "the annotation is empty, beside others: only an image without cells has an empty one"
                )
        cells = [row for row in rows if row.annotation.strip()]
        types = Counter(row.cell_type for row in rows if row.cell_type)
        return ImageAnnotations(
            image_id=image_id,
            height=height,
            width=width,
            masks=tuple(row.annotation for row in cells),
            order=self.order,
            rows=tuple(row.number for row in cells),
            cell_types=tuple(row.cell_type for row in cells),
            cell_type=types.most_common(1)[0][0] if types else "",
            source=self.name,
        )

    def _size(self, row: _Row, name: str) -> int:
        text: str = getattr(row, name).strip()
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
            raise self._fault(row, row.problem or f"{name} {text!r} is not a whole number of pixels above 0")
        return int(text)

    def _fault(self, row: _Row, problem: str) -> AnnotationError:
        return AnnotationError(f"{self.name} row {row.number}: {problem}")

    def _rows(self) -> Iterator[_Row]:
        table = self._table()
        _, header = next(table)
        places = self._places(header)
        for number, values in table:
            if len(values) == len(header):
                fields = ["" if place is None else values[place] for place in places]
                yield _Row._make([number, *fields, ""])
            else:
                yield _incomplete_row(number, values, header, places)

    def _table(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the fields of the header, and of every row that is not empty."""
        csv.field_size_limit(2**31 - 1)
        number = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                yield 1, [name.strip() for name in next(reader, [])]
                for number, values in enumerate(reader, start=2):
                    if values:
                        yield number, values
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.path} after row {number}: the text is not UTF-8") from error
        except csv.Error as error:
            raise SourceError(f"{self.path} after row {number}: {error}") from error

    def _places(self, header: list[str]) -> list[int | None]:
        """Return the place in the file of each of the columns that a row is made of."""
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            found = shorten(", ".join(map(repr, header)), 200, placeholder=" ...") or "none"
            raise SourceError(
                f"{self.path} row 1: column {', '.join(missing)} is missing: a CSV of annotations has the "
                f"columns {', '.join(_NEEDED)} and may have {', '.join(_OPTIONAL)}; found: {found}"
            )
        twice = [name for name in (*_NEEDED, *_OPTIONAL) if header.count(name) > 1]
        if twice:
            raise SourceError(f"{self.path} row 1: column {', '.join(twice)} is there twice")
        return [header.index(name) if name in header else None for name in (*_NEEDED, *_OPTIONAL)]


def _incomplete_row(number: int, values: list[str], header: list[str], places: list[int | None]) -> _Row:
    fields = [values[place] if place is not None and place < len(values) else "" for place in places]
    return _Row._make([number, *fields, f"its number of fields is {len(values)}, the header's {len(header)}"])
