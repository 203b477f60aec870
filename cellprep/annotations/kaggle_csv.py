"""Reader of Kaggle's CSV: one annotation per row, with columns id, annotation, width, height, cell_type.

The columns of the 2018 Data Science Bowl are read as well: ImageId, EncodedPixels, whose runs count down the columns
and whose sizes only the images tell.

A first reading counts the rows of each image, a second one hands each image on as soon as its last row has been seen:
only images whose rows are still to come are in memory, which is one at a time if rows of an image stand together.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

from cellprep.annotations.record import Annotations, FaultyImage, ImageRecord, check_excluded, most_common
from cellprep.annotations.source import Source
from cellprep.errors import AnnotationError, RLEError, SourceError
from cellprep.image_ids import id_problem
from cellprep.rle import Order, parse_rle

__all__ = ["KaggleCSV"]

_NEEDED = ("id", "annotation")
_OPTIONAL = ("width", "height", "cell_type")
_OTHER_NAMES = {"ImageId": "id", "EncodedPixels": "annotation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CSVImage(ImageRecord):
    """The rows of one image.

    Attributes
    ----------
    shape
        (H, W), in pixels; None if the file does not tell.
    masks
        (n,) run-length texts.
    order
        The order in which the texts count pixels.
    rows, cell_types
        (n,) as `Annotations` has them.
    cell_type
        The image's category, which an image without cells may have as well.
    """

    shape: tuple[int, int] | None
    masks: tuple[str, ...]
    order: Order
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    cell_type: str

    def content(self) -> list[Any]:
        """Return all fields."""
        return [self.shape, self.order, self.masks, self.rows, self.cell_types, self.cell_type]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Parse the masks."""
        check_excluded(self.excluded, self.rows)
        kept = [place for place, row in enumerate(self.rows) if row not in self.excluded]
        if len(kept) == 1 and not self.masks[kept[0]].strip():
            kept = []  # an empty one that was beside others
        masks = [self.masks[place] for place in kept]
        rows = tuple(self.rows[place] for place in kept)
        for row, mask in zip(rows, masks, strict=True):
            if not mask.strip():
                raise AnnotationError(
                    f"{self.source} row {row}: the annotation is empty, beside others: only an image without cells "
                    "has an empty one"
                )
        try:
            runs = parse_rle(masks, self._shape(shape), self.order)
        except RLEError as error:
            raise AnnotationError(f"{self.source} row {rows[error.place]}: {error.problem}") from error
        cell_types = tuple(self.cell_types[place] for place in kept)
        return Annotations(runs, rows, cell_types, most_common(cell_types) or self.cell_type)

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Parse the masks one by one."""
        found = {}
        for row, mask in zip(self.rows, self.masks, strict=True):
            try:
                parse_rle([mask], self._shape(shape), self.order)
            except RLEError as error:
                found[row] = error.problem
            if not mask.strip():
                found[row] = "the annotation is empty, beside others"
        return found

    def _shape(self, shape: tuple[int, int] | None) -> tuple[int, int]:
        known = self.shape or shape
        if known is None:
            raise AnnotationError(
                f"{self.source} has no columns width and height: give the images, whose files tell (--images)"
            )
        return known


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
        self._columns: list[str] = []
        self._rows_of = Counter(row.id for row in self._rows())
        self._order: Order = order or ("column" if "EncodedPixels" in self._columns else "row")
        self.order = self._order
        self.needs_images = "width" not in self._columns
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
            rows = pending.setdefault(row.id, [])
            rows.append(row)
            if len(rows) == self._rows_of[row.id]:
                yield self._image(row.id, pending.pop(row.id))
                yielded += 1
        if pending or yielded != len(self._rows_of):
            raise SourceError(f"{self.path} was changed while it was read: run the command again")

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
        csv.field_size_limit(2**31 - 1)
        number = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                self._columns = header = [name.strip() for name in next(reader, [])]
                places = self._places([_OTHER_NAMES.get(name, name) for name in header])
                for number, values in enumerate(reader, start=2):
                    if len(values) == len(header):
                        fields = ["" if place is None else values[place] for place in places]
                        yield _Row._make([number, *fields, ""])
                    elif values:
                        yield _incomplete_row(number, values, header, places)
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.path} after row {number}: the text is not UTF-8") from error
        except csv.Error as error:
            raise SourceError(f"{self.path} after row {number}: {error}") from error

    def _places(self, header: list[str]) -> list[int | None]:
        """Return the place in the file of each of the columns that a row is made of."""
        needed = (*_NEEDED, "width", "height") if {"width", "height"} & set(header) else _NEEDED
        missing = [name for name in needed if name not in header]
        if missing:
            found = shorten(", ".join(map(repr, header)), 200, placeholder=" ...") or "none"
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
