"""Reader of LabelMe's JSON: one file per image, with the shapes drawn on it.

https://github.com/wkentaro/labelme
"""

import base64
import binascii
import io
from math import dist
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from cellprep.errors import AnnotationError, RLEError
from cellprep.formats.annotations.documents import decode_json
from cellprep.formats.annotations.json_kinds import json_format
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import (
    Bitmap,
    Drawing,
    Ellipse,
    Faulty,
    NoArea,
    Point,
    Polygon,
    Shape,
    joined,
    points_of,
    rectangle,
    shown,
)
from cellprep.formats.drawings.source import DrawnFiles

_WHAT = "LabelMe file"
_WITHOUT_AREA = {"point", "points", "line", "linestrip"}

Part = TypeVar("Part")


class _Size(msgspec.Struct):
    imageHeight: Any = None  # noqa: N815
    imageWidth: Any = None  # noqa: N815


class _Shapes(msgspec.Struct):
    shapes: Any = None


class LabelMeImage(DrawnImage):
    """Shapes of one image. Rows are positions of shapes in the file, from 1; for a group, that of its first shape."""

    __slots__ = ()
    tells_shape = True

    def shape_in(self, document: bytes) -> tuple[int, int]:
        """Return imageHeight and imageWidth."""
        size = self._decode(document, _Size)
        found = []
        for name in ("imageHeight", "imageWidth"):
            side = getattr(size, name)
            if type(side) is not int or side < 1:
                raise AnnotationError(
                    f"{self.place}: its {name} is {shown(side)}: it must be a whole number of pixels above 0; "
                    "open the file in LabelMe and save it again"
                )
            found.append(side)
        return found[0], found[1]

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse the shapes, and join those of a group with the same label."""
        shapes = self._decode(document, _Shapes).shapes
        if not isinstance(shapes, list):
            raise AnnotationError(f"{self.place} is not a {_WHAT}: its shapes are {shown(shapes)}: they must be a list")
        parts = ((_group(shape), _shape(shape), _text(shape, "label")) for shape in shapes)
        return joined(parts, (_text(shape, "description") for shape in shapes))

    def _decode(self, document: bytes, kind: type[Part]) -> Part:
        try:
            return decode_json(document, kind, self.place, _WHAT)
        except msgspec.ValidationError as error:
            problem = "it is not an object with the list shapes"
            if "out of range" in str(error):
                problem = f"it contains a number that is too large, at {str(error).partition(' - at ')[2]}"
            raise AnnotationError(f"{self.place} is not a {_WHAT}: {problem}") from error


class LabelMe(DrawnFiles):
    """Annotations in LabelMe's ``<id>.json``, next to the images or elsewhere."""

    format = "labelme"
    ends = (".json",)
    record = LabelMeImage

    @classmethod
    def is_own(cls, path: Path) -> bool:
        """Return whether a file is LabelMe's, by its content."""
        return path.name.lower().endswith(cls.ends) and json_format(path) == cls.format


def _text(shape: Any, key: str) -> str:
    text = shape.get(key) if isinstance(shape, dict) else None
    return text if isinstance(text, str) else ""


def _group(shape: Any) -> Any:
    """Return the key shared by the shapes of one instance; None if a shape is an instance of its own."""
    group = shape.get("group_id") if isinstance(shape, dict) else None
    return None if group is None else (_text(shape, "label"), str(group))


def _shape(shape: Any) -> Shape:
    if not isinstance(shape, dict):
        return Faulty(f"it is {shown(shape)}, not an object with label, points and shape_type")
    kind = shape.get("shape_type")
    kind = "polygon" if kind is None else kind  # as in the first versions
    if isinstance(kind, str) and kind in _WITHOUT_AREA:
        return NoArea(kind)
    try:
        points = points_of(shape.get("points"))
        if kind in ("polygon", "oriented_rectangle", "rotation") or (kind == "rectangle" and len(points) == 4):
            return Polygon([points])  # the latter two are written by X-AnyLabeling
        if kind not in ("rectangle", "circle", "mask"):
            return Faulty(f"its shape_type is {shown(kind)}: only polygon, rectangle, circle and mask are supported")
        if len(points) != 2:
            return Faulty(f"a {kind} must have two points, but this one has {len(points)}")
        if kind == "rectangle":
            return rectangle(points[0], points[1])
        if kind == "circle":
            radius = dist(points[0], points[1])
            return Ellipse(points[0], (radius, radius))
        return _mask(shape.get("mask"), points[0], points[1])
    except RLEError as error:
        return Faulty(error.problem)


def _mask(text: Any, corner: Point, opposite: Point) -> Shape:
    """Return a mask: a PNG in base64, with the positions of its first and last pixel."""
    (left, top), (right, bottom) = (tuple(map(int, point)) for point in (corner, opposite))
    size = (bottom - top + 1, right - left + 1)
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return Faulty(f"its mask is {shown(text)}: it must be a PNG in base64")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != size[::-1]:
                width, height = picture.size
                return Faulty(
                    f"its mask is {height} x {width} (height x width), but its points span {size[0]} x {size[1]}"
                )
            return Bitmap(np.asarray(picture.convert("L")) != 0, left, top)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Faulty("its mask is not a readable PNG: save it again in LabelMe")
