"""Reader of Kaggle's CSV: one annotation per row, with columns id, annotation, width, height, cell_type.

It also reads the columns of the 2018 Data Science Bowl: ImageId, EncodedPixels (column-major runs; sizes are those of
the images, unless there are Height and Width); of HuBMAP: id, rle, img_height, img_width (column-major); and of a
submission to Sartorius: id, predicted. The table may be in any file that `Table` reads.

A first pass counts the rows of each image and hashes the file. A second pass yields each image after its last row, so
that only incomplete images are in memory, one at a time if the rows of an image are consecutive. Large files are read
in each pass, others once.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from sys import intern
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, SourceError, UsageError
from cellprep.formats.annotations.foreign import kind_of
from cellprep.formats.annotations.record import FaultyImage, ImageRecord, most_common
from cellprep.formats.annotations.source import Source
from cellprep.formats.kaggle_csv.image import CSVImage
from cellprep.formats.tables import LONGEST_EXCEL_TEXT, Table, is_table, open_table
from cellprep.store.image_ids import composed, id_problem
from cellprep.text.frames import is_frame

if TYPE_CHECKING:
    from pandas import DataFrame

_NEEDED = ("id", "annotation")
_OPTIONAL = ("width", "height", "cell_type")
_COLUMN_ORDER = {"encodedpixels", "rle", "rlemask", "encoding"}  # annotations with column-major runs
# Names of columns by content, in lower case and without spaces, underscores and hyphens.
_NAMES = {
    "id": {"id", "imageid"},
    "annotation": {"annotation", "predicted", *_COLUMN_ORDER},
    "width": {"width", "imgwidth", "imagewidth"},
    "height": {"height", "imgheight", "imageheight"},
    "cell_type": {"celltype"},
}
_OTHER_NAMES = "ImageId", "EncodedPixels", "predicted", "rle"
_NOTHING = {"-1", "nan", "none", "null"}  # values that mark an image without cells


class _Row(NamedTuple):
    """A row of the file; `problem` describes a wrong number of fields."""

    number: int
    id: str
    annotation: str
    width: str
    height: str
    cell_type: str
    problem: str


class KaggleCSV(Source):
    """Annotations in a CSV file or another table.

    Parameters
    ----------
    path
        The file, or a data frame with its columns.
    order
        Order of pixels in the masks; row-major by default, but column-major if the column is called EncodedPixels or
        rle.

    Raises
    ------
    SourceError
        If the file cannot be read, is not a table, or lacks a column.
    MissingExtraError
        If it is a Parquet or Excel file, and the library that reads it is not installed.
    """

    format = "kaggle-csv"

    def __init__(self, path: "Path | DataFrame", order: Order | None = None) -> None:
        if not is_frame(path) and not path.is_file():
            raise SourceError(f"{path} is not a regular file: a CSV must be readable more than once")
        self._table = open_table(path, _has_needed)
        super().__init__(self._table.path, order)
        self._header = f"{self.path}{' row 1' * (self._table.kind != 'frame')}"
        digest = hashlib.sha256()
        rows = self._table.rows(digest.update)
        self._columns = [name.strip() for name in next(rows)[1]]
        self._places = self._find_columns()
        annotation = self._columns[self._places["annotation"]]
        self._order: Order = order or ("column" if _key(annotation) in _COLUMN_ORDER else "row")
        self.order = self._order
        self.needs_images = "width" not in self._places
        self._rows_of = Counter(map(self._id_of, rows))
        if not self._rows_of:
            raise SourceError(f"{self.path} has no annotations: there are no rows below the header")
        self.sha256 = digest.hexdigest()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path looks like a table, or a text file with the columns of one."""
        if is_table(path):
            return True
        if not (path.is_file() and path.suffix.lower() == ".txt"):
            return False
        return _has_needed(next(Table(path, _has_needed, whole=False).rows())[1])

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, in order of their first rows."""
        return list(self._rows_of)

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image after its last row has been read."""
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
        """Return the values of a column by image, without surrounding whitespace.

        Rows with a wrong number of fields are ignored, as their images are invalid.
        """
        place = self._own_column(column)
        id_place = self._places["id"]
        found: dict[str, tuple[int, str]] = {}
        for number, values in islice(self._table.rows(), 1, None):
            if len(values) != len(self._columns):
                continue
            image_id, value = composed(values[id_place]), values[place].strip()
            first, known = found.setdefault(image_id, (number, value))
            if value != known:
                raise SourceError(
                    f"{self.name} row {number}: {column} {value!r} contradicts {known!r} in row {first}: "
                    f"all rows of image {image_id!r} must have the same value"
                )
        return {image_id: value for image_id, (_, value) in found.items()}

    def _own_column(self, column: str) -> int:
        """Return the index of a column that does not belong to the annotations."""
        own = [name for place, name in enumerate(self._columns) if place not in self._places.values()]
        if column not in own:
            found = shorten(", ".join(map(repr, own)), 200, placeholder=" ...") or "none"
            raise UsageError(f"{self.name} has no column {column!r} to group images by; it has: {found}")
        if own.count(column) > 1:
            raise UsageError(f"{self.name} has the column {column!r} twice")
        return self._columns.index(column)

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
        if self.needs_images:
            return None
        return self._size(row, "height"), self._size(row, "width")

    def _size(self, row: _Row, name: str) -> int:
        text: str = getattr(row, name).strip()
        found = re.fullmatch(r"([0-9]{1,9})([.,]0*)?", text)
        if not found or not int(found[1]):
            raise self._fault(row, row.problem or f"{name} {text!r} is not a whole number of pixels above 0")
        return int(found[1])

    def _fault(self, row: _Row, problem: str) -> AnnotationError:
        return AnnotationError(f"{self.name} row {row.number}: {problem}")

    def _rows(self) -> Iterator[_Row]:
        header = self._columns
        places = [self._places.get(name) for name in (*_NEEDED, *_OPTIONAL)]
        make = partial(_excel_row if self._table.kind == "xlsx" else _row, places=places)
        for number, values in islice(self._table.rows(), 1, None):
            yield (
                make(number, values) if len(values) == len(header) else _incomplete_row(number, values, header, places)
            )

    def _id_of(self, row: tuple[int, list[str]]) -> str:
        """Return the id that `_rows` yields for a row."""
        _, values = row
        place = self._places["id"]
        if len(values) == len(self._columns):
            return intern(composed(values[place]))
        return values[place] if place < len(values) else ""

    def _find_columns(self) -> dict[str, int]:
        """Return the indices of the columns of an annotation, by content."""
        found = {holds: place for holds in _NAMES if (place := self._find_column(holds)) is not None}
        needed = (*_NEEDED, "width", "height") if {"width", "height"} & found.keys() else _NEEDED
        missing = [name for name in needed if name not in found]
        if missing:
            kind = kind_of(self.path) if self._table.kind == "csv" else ""
            if kind.startswith("this is") and len(self._columns) < 2:
                raise SourceError(f"{self.path} is not a CSV: {kind}")
            known = shorten(", ".join(map(repr, self._columns)), 200, placeholder=" ...") or "none"
            raise SourceError(
                f"{self._header}: column {', '.join(missing)} is missing: a CSV of annotations must have the columns "
                f"{', '.join(_NEEDED)} (or {', '.join(_OTHER_NAMES)}), and may have {', '.join(_OPTIONAL)}; "
                f"found: {known}"
            )
        return found

    def _find_column(self, holds: str) -> int | None:
        names = [name for name in self._columns if _key(name) in _NAMES[holds]]
        if holds != "id" and names.count(holds) == 1:
            return self._columns.index(holds)  # the main name takes precedence
        if len(names) > 1:
            several = " and ".join(dict.fromkeys(names))
            problem = (
                f"columns {several} have the same meaning" if len(set(names)) > 1 else f"column {several} occurs twice"
            )
            raise SourceError(f"{self._header}: {holds}: {problem}: rename or delete one")
        return self._columns.index(names[0]) if names else None


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def _has_needed(names: list[str]) -> bool:
    """Return whether the names of columns include those required of annotations."""
    keys = set(map(_key, names))
    return all(keys & _NAMES[name] for name in _NEEDED)


def _row(number: int, values: list[str], places: list[int | None]) -> _Row:
    image_id, annotation, width, height, cell_type = ("" if place is None else values[place] for place in places)
    if len(annotation) < 9 and annotation.strip().lower() in _NOTHING:
        annotation = ""
    # Values shared by a million cells of an image are in memory once.
    return _Row(number, intern(composed(image_id)), annotation, intern(width), intern(height), intern(cell_type), "")


def _excel_row(number: int, values: list[str], places: list[int | None]) -> _Row:
    row = _row(number, values, places)
    if len(row.annotation) < LONGEST_EXCEL_TEXT:
        return row
    problem = f"Excel truncated the annotation to {LONGEST_EXCEL_TEXT:,} characters: use a CSV"
    return row._replace(problem=problem)


def _incomplete_row(number: int, values: list[str], header: list[str], places: list[int | None]) -> _Row:
    fields = [values[place] if place is not None and place < len(values) else "" for place in places]
    return _Row._make([number, *fields, f"it has {len(values)} fields, but the header has {len(header)}"])
