"""Reader of CVAT's XML for images, version 1.1: https://docs.cvat.ai/docs/manual/advanced/xml_format/."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

import msgspec
import numpy as np

from cellprep.errors import RLEError, SourceError
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import (
    Drawing,
    Ellipse,
    Faulty,
    NoArea,
    Point,
    Polygon,
    RowRuns,
    Shape,
    joined,
    number_of,
    rectangle,
    shown,
)
from cellprep.formats.drawings.source import DrawnEntry, DrawnSet
from cellprep.system.files import open_file

_HEAD = 65_536  # bytes
_WITHOUT_AREA = {"polyline", "points", "skeleton", "cuboid"}
_EXPORT = "in CVAT, export the task as `CVAT for images 1.1`"
_LONGEST_SIDE = 10**9


class Element(NamedTuple):
    """A shape of an image: the name of its element, and its attributes."""

    name: str
    attributes: dict[str, str]


class CVATImage(DrawnImage):
    """Shapes of one image. Rows are positions of shapes in the image, from 1; for a group, that of its first shape."""

    __slots__ = ()

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse the shapes, join those of a group with the same label, and sort them by z_order."""
        elements = msgspec.json.decode(document, type=list[Element])
        drawings = joined(
            (_group(element), _shape(element), element.attributes.get("label", "")) for element in elements
        )
        return sorted(drawings, key=lambda drawing: _z_order(elements[drawing.row - 1]))


class CVAT(DrawnSet):
    """Annotations in CVAT's XML."""

    format = "cvat"
    record = CVATImage

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a file begins like CVAT's XML."""
        if not path.is_file() or path.suffix.lower() != ".xml":
            return False
        with open_file(path) as file:
            return is_cvat(file.read(_HEAD))

    def entries(self, content: bytes) -> list[DrawnEntry]:
        """Parse the XML, except for the numbers of shapes."""
        parsed = _Parser(self.path)
        parsed.parse(content)
        elements = [element for _, shapes in parsed.images for element in shapes]
        self.note_rectangles(element.attributes.get("label", "") for element in elements if element.name == "box")
        if len({_z_order(element) for element in elements}) > 1:
            self.notes.append("note: shapes are sorted by z_order: use --overlap later-on-top to keep this order")
        if parsed.left_aside:
            some = ", ".join(f"{number:,} {name}" for name, number in sorted(parsed.left_aside.items()))
            self.notes.append(f"note: skipped, as these are not shapes: {some}")
        return [_entry(place, *image) for place, image in enumerate(parsed.images, start=1)]


def is_cvat(head: bytes) -> bool:
    """Return whether a file with this beginning is CVAT's XML, for images or video."""
    return re.search(rb"<annotations>.*?(<version>|<meta>|<image |<track )", head, re.DOTALL) is not None


class _Parser:
    """Parser for the images of a document, with their attributes and shapes; other elements are counted.

    Entities are refused: a few of them may expand to gigabytes, or read local files.
    """

    def __init__(self, path: Path) -> None:
        self.images: list[tuple[dict[str, str], list[Element]]] = []
        self.left_aside: Counter[str] = Counter()
        self._path = path
        self._open: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = lambda _: self._open.pop()
        self._parser.StartDoctypeDeclHandler = self._refuse

    def parse(self, content: bytes) -> None:
        """Parse a document; raises SourceError if it is not CVAT's."""
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            raise SourceError(
                f"{self._path} is not CVAT XML: it is broken in line {error.lineno}, column {error.offset + 1} "
                f"({expat.errors.messages[error.code]}): export it again"
            ) from error
        except (ValueError, LookupError) as error:  # unknown encoding
            raise SourceError(f"{self._path} is not CVAT XML: its encoding is unknown: save it as UTF-8") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        depth = len(self._open)
        if depth == 1 and name != "annotations":
            raise SourceError(f"{self._path} is not CVAT XML: it begins with <{name}>, not with <annotations>")
        if depth == 2 and name == "track":
            raise SourceError(f"{self._path} is CVAT XML for video, whose shapes are tracks over frames: {_EXPORT}")
        if depth == 2 and name == "image":
            self.images.append((attributes, []))
        elif depth == 3 and self._open[1] == "image":
            if name in _SHAPES or name in _WITHOUT_AREA:
                self.images[-1][1].append(Element(name, attributes))
            else:
                self.left_aside[name] += 1

    def _refuse(self, *_: object) -> None:
        raise SourceError(f"{self._path} has a document type (<!DOCTYPE>), which CVAT does not write: {_EXPORT}")


def _entry(place: int, attributes: dict[str, str], shapes: list[Element]) -> DrawnEntry:
    entry = DrawnEntry(attributes.get("id", f"image {place}"), attributes.get("name", ""), msgspec.json.encode(shapes))
    sides = [attributes.get(name, "").strip() for name in ("height", "width")]
    if all(re.fullmatch("[0-9]{1,10}", side) and 0 < int(side) <= _LONGEST_SIDE for side in sides):
        entry.shape = int(sides[0]), int(sides[1])
    else:
        entry.problem = (
            f"its size is {sides[0]!r} x {sides[1]!r} (height x width): {_EXPORT}, which gives both in pixels"
        )
    return entry


def _group(element: Element) -> tuple[str, str] | None:
    """Return the key shared by the shapes of one instance; None if a shape is an instance of its own."""
    group = element.attributes.get("group_id", "0").strip()
    return None if group in ("", "0") else (element.attributes.get("label", ""), group)


def _z_order(element: Element) -> int:
    text = element.attributes.get("z_order", "0").strip()
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else 0


def _shape(element: Element) -> Shape:
    if element.name in _WITHOUT_AREA:
        return NoArea(element.name)
    try:
        return _SHAPES[element.name](element.attributes)
    except RLEError as error:
        return Faulty(error.problem)


def _polygon(attributes: dict[str, str]) -> Shape:
    words = [point.split(",") for point in attributes.get("points", "").split(";") if point.strip()]
    if wrong := next((point for point in words if len(point) != 2), None):
        return Faulty(f"its point {shown(','.join(wrong))} is not x,y")
    return Polygon([[(number_of(x, "x"), number_of(y, "y")) for x, y in words]])


def _numbers(attributes: dict[str, str], *names: str) -> list[float]:
    return [number_of(attributes.get(name), name) for name in names]


def _box(attributes: dict[str, str]) -> Shape:
    left, top, right, bottom = _numbers(attributes, "xtl", "ytl", "xbr", "ybr")
    return rectangle((left, top), (right, bottom), number_of(attributes.get("rotation", 0), "rotation"))


def _ellipse(attributes: dict[str, str]) -> Shape:
    x, y, *radii = _numbers(attributes, "cx", "cy", "rx", "ry")
    centre: Point = (x, y)
    return Ellipse(centre, (radii[0], radii[1]), number_of(attributes.get("rotation", 0), "rotation"))


def _mask(attributes: dict[str, str]) -> Shape:
    """Return a mask: lengths of runs along the rows of a box, alternating between outside and inside."""
    box = [attributes.get(name, "").strip() for name in ("left", "top", "width", "height")]
    if not all(re.fullmatch("-?[0-9]{1,9}", side) for side in box) or min(map(int, box[2:])) < 1:
        return Faulty(
            f"its box is left, top, width, height {', '.join(map(repr, box))}: these must be whole numbers of pixels"
        )
    left, top, width, height = map(int, box)
    words = [word.strip() for word in attributes.get("rle", "").split(",")]
    if wrong := [word for word in words if not re.fullmatch("[0-9]{1,18}", word)]:
        return Faulty(f"its rle contains {shown(wrong[0])}: it must be lengths of runs, separated by commas")
    pixels = sum(map(int, words))
    if pixels != width * height:
        return Faulty(f"its rle has {pixels:,} pixels, but its box is {width} x {height} (width x height)")
    return RowRuns(np.array(words, np.int64), (height, width), left, top)


_SHAPES = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}
