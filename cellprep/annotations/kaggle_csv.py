"""Reader of Kaggle's CSV: one annotation per row, with columns id, annotation, width, height, cell_type.

The file never has to fit into memory: a first reading counts the rows of each image, a second one hands each image
on as soon as its last row has been seen.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from cellprep.annotations.record import FaultyImage, ImageAnnotations
from cellprep.errors import AnnotationError, SourceError
from cellprep.image_ids import id_problem
from cellprep.rle import Order

__all__ = ["KaggleCSV"]

_NEEDED = ("id", "annotation", "width", "height")
_OPTIONAL = ("cell_type",)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    fields: dict[str, str]
    problem: str | None


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
        self._rows_of = Counter(row.fields["id"] for row in self._rows())
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
            image_id = row.fields["id"]
            rows = pending.setdefault(image_id, [])
            rows.append(row)
            if len(rows) == self._rows_of[image_id]:
                yield self._image(image_id, pending.pop(image_id))
                yielded += 1
        if pending or yielded != len(self._rows_of):
            raise SourceError(f"{self.path} was changed while it was read: run the command again")

    def _image(self, image_id: str, rows: list[_Row]) -> ImageAnnotations | FaultyImage:
        try:
            return self._checked_image(image_id, rows)
        except AnnotationError as error:
            return FaultyImage(image_id, str(error))

    def _checked_image(self, image_id: str, rows: list[_Row]) -> ImageAnnotations:
        first = rows[0]
        if problem := id_problem(image_id):
            raise self._fault(first, problem)
        height, width = (self._size(first, name) for name in ("height", "width"))
        for row in rows:
            if row.problem:
                raise self._fault(row, row.problem)
            for name, size in (("height", height), ("width", width)):
                if self._size(row, name) != size:
                    raise self._fault(row, f"{name} {row.fields[name]} contradicts {size} in row {first.number}")
            if not row.fields["annotation"].strip() and len(rows) > 1:
                raise self._fault(
                    row, "the annotation is empty, beside others: only an image without cells has an empty one"
                )
        cells = [row for row in rows if row.fields["annotation"].strip()]
        types = Counter(row.fields["cell_type"] for row in rows if row.fields["cell_type"])
        return ImageAnnotations(
            image_id=image_id,
            height=height,
            width=width,
            masks=tuple(row.fields["annotation"] for row in cells),
            order=self.order,
            rows=tuple(row.number for row in cells),
            cell_types=tuple(row.fields["cell_type"] for row in cells),
            cell_type=types.most_common(1)[0][0] if types else "",
            source=self.name,
        )

    def _size(self, row: _Row, name: str) -> int:
        text = row.fields[name].strip()
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
                header = [name.strip() for name in next(reader, [])]
                places = self._places(header)
                for number, values in enumerate(reader, start=2):
                    if values:
                        yield _row(number, values, header, places)
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.path} after row {number}: the text is not UTF-8") from error
        except csv.Error as error:
            raise SourceError(f"{self.path} after row {number}: {error}") from error

    def _places(self, header: list[str]) -> dict[str, int]:
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            found = shorten(", ".join(map(repr, header)), 200, placeholder=" ...") or "none"
            raise SourceError(
                f"{self.path} row 1: column {', '.join(missing)} is missing: a CSV of annotations has the "
                f"columns {', '.join(_NEEDED)} and may have {', '.join(_OPTIONAL)}; found: {found}"
            )
        places = {name: header.index(name) for name in (*_NEEDED, *_OPTIONAL) if name in header}
        twice = [name for name in places if header.count(name) > 1]
        if twice:
            raise SourceError(f"{self.path} row 1: column {', '.join(twice)} is there twice")
        return places


def _row(number: int, values: list[str], header: list[str], places: dict[str, int]) -> _Row:
    fields = dict.fromkeys((*_NEEDED, *_OPTIONAL), "")
    fields.update({name: values[place] for name, place in places.items() if place < len(values)})
    problem = None
    if len(values) != len(header):
        problem = f"its number of fields is {len(values)}, the header's {len(header)}"
    return _Row(number, fields, problem)
