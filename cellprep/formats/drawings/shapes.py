"""Drawn shapes, and the pixels that they cover: those whose centres lie inside."""

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import repeat
from math import cos, radians, sin
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cellprep.core.areas import Spans, bitmap_spans, check_box, ellipse_spans, polygon_spans, united
from cellprep.errors import RLEError
from cellprep.text.wording import count

Point = tuple[float, float]

_FAR = 1e15  # beyond all pixels
_AT_ONCE = 10_000  # polygons whose sides are in memory together


class Shape(ABC):
    """A part of an annotation."""

    @abstractmethod
    def spans(self, shape: tuple[int, int]) -> Spans:
        """Return its pixels in an image of size (H, W).

        Raises
        ------
        RLEError
            If it has no area in this image.
        """


@dataclass(frozen=True, slots=True)
class Polygon(Shape):
    """A polygon.

    Attributes
    ----------
    rings
        Exterior, followed by holes: points (x, y) in pixels. The last may repeat the first.
    """

    rings: Sequence[Sequence[Point]]

    def corners(self, shape: tuple[int, int]) -> list[NDArray[np.float64]]:
        """Return its rings as corners, (k, 2) x and y; raises as `spans` does."""
        if (fewest := min(len(set(ring)) for ring in self.rings)) < 3:
            raise RLEError(0, f"a polygon has {count(fewest, 'point')}: it needs at least three different points")
        corners = [np.array(ring, np.float64) for ring in self.rings]
        every = np.concatenate(corners)
        _check_inside("polygon", every.min(axis=0).tolist(), every.max(axis=0).tolist(), shape)
        return corners

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Rasterise the polygon."""
        return polygon_spans([self.corners(shape)], shape)[0]


@dataclass(frozen=True, slots=True)
class Ellipse(Shape):
    """An ellipse or a circle, rotated clockwise about its centre."""

    centre: Point
    radii: Point
    degrees: float = 0

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Rasterise the ellipse."""
        found = ellipse_spans(self.centre, self.radii, shape, self.degrees)
        (x, y), reach = self.centre, max(self.radii)
        _check_inside("ellipse", (x - reach, y - reach), (x + reach, y + reach), shape)
        return found


@dataclass(frozen=True, slots=True)
class Bitmap(Shape):
    """Pixels in a box.

    Attributes
    ----------
    mask
        (h, w) bool.
    left, top
        Column and row of its upper left pixel in the image.
    """

    mask: NDArray[Any]
    left: int = 0
    top: int = 0

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Return its pixels."""
        return bitmap_spans(self.mask, self.left, self.top, shape)


@dataclass(frozen=True, slots=True)
class RowRuns(Shape):
    """Pixels in a box, as lengths of runs along its rows, beginning outside.

    Attributes
    ----------
    lengths
        (r,) int64; their sum is the number of the box's pixels.
    size
        (h, w) of the box.
    left, top
        Column and row of its upper left pixel in the image.
    """

    lengths: NDArray[np.int64]
    size: tuple[int, int]
    left: int
    top: int

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Return its pixels."""
        check_box(self.size, self.left, self.top, shape)  # before memory is allocated
        mask = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths).reshape(self.size)
        return bitmap_spans(mask, self.left, self.top, shape)


@dataclass(frozen=True, slots=True)
class NoArea(Shape):
    """A drawn object that covers no pixels, such as a point.

    Attributes
    ----------
    what
        Noun for it.
    """

    what: str

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Refuse it."""
        raise RLEError(0, f"it is a {self.what}, which has no area")


@dataclass(frozen=True, slots=True)
class Faulty(Shape):
    """A shape that cannot be read.

    Attributes
    ----------
    problem
        The problem, and what is valid.
    """

    problem: str

    def spans(self, shape: tuple[int, int]) -> Spans:
        """Refuse it."""
        raise RLEError(0, self.problem)


@dataclass(frozen=True, slots=True)
class Drawing:
    """An annotation.

    Attributes
    ----------
    row
        Number of the annotation in its file.
    shapes
        Its parts.
    cell_type
        Category; an empty string if it has none.
    score
        Confidence, if the file has it.
    name
        Name; an empty string if it has none.
    """

    row: int
    shapes: tuple[Shape, ...]
    cell_type: str = ""
    score: float | None = None
    name: str = ""

    @property
    def without_area(self) -> str:
        """Nouns for its parts if none has an area; an empty string otherwise."""
        names = [part.what if isinstance(part, NoArea) else "" for part in self.shapes]
        return ", ".join(names) if all(names) else ""


def joined(shapes: Iterable[tuple[Hashable, Shape, str]], names: Iterable[str] = repeat("")) -> list[Drawing]:
    """Return shapes as annotations; shapes of a group form one annotation.

    Parameters
    ----------
    shapes
        Group, shape and category of each; the group is None for a separate annotation. The row of an annotation is the
        position of its first shape, from 1.
    names
        Name of each shape; an annotation has the name of its first shape.

    Examples
    --------
    >>> found = joined([(7, NoArea("point"), "a"), (None, NoArea("line"), "b"), (7, NoArea("line"), "a")])
    >>> [(drawing.row, drawing.cell_type, len(drawing.shapes)) for drawing in found]
    [(1, 'a', 2), (2, 'b', 1)]
    """
    drawings: dict[Hashable, Drawing] = {}
    for row, ((group, shape, cell_type), name) in enumerate(zip(shapes, names, strict=False), start=1):
        key = (row, None) if group is None else (0, group)
        first = drawings.setdefault(key, Drawing(row, (), cell_type, name=name))
        drawings[key] = replace(first, shapes=(*first.shapes, shape))
    return list(drawings.values())


def rasterised(drawings: Sequence[Drawing], shape: tuple[int, int]) -> list[Spans]:
    """Return the pixels of annotations, each as the union of its parts; polygons are filled in batches.

    Parameters
    ----------
    drawings
        The annotations.
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If an annotation has no area in this image; the error names the index of the first one.
    """
    parts: list[list[Spans]] = [[] for _ in drawings]
    waiting: list[tuple[int, list[NDArray[np.float64]]]] = []
    for place, drawing in enumerate(drawings):
        for part in drawing.shapes:
            try:
                if isinstance(part, Polygon):
                    waiting.append((place, part.corners(shape)))
                else:
                    parts[place].append(part.spans(shape))
            except RLEError as error:
                raise RLEError(place, error.problem) from error
    for first in range(0, len(waiting), _AT_ONCE):
        some = waiting[first : first + _AT_ONCE]
        try:
            filled = polygon_spans([corners for _, corners in some], shape)
        except RLEError as error:
            raise RLEError(some[error.place][0], error.problem) from error
        for (place, _), found in zip(some, filled, strict=True):
            parts[place].append(found)
    return [found[0] if len(found) == 1 else united(found) for found in parts]


def rectangle(corner: Point, opposite: Point, degrees: float = 0, about: Point | None = None) -> Polygon:
    """Return the rectangle between two corners, rotated clockwise about a point, by default its centre."""
    (x0, y0), (x1, y1) = corner, opposite
    (x, y) = about or ((x0 + x1) / 2, (y0 + y1) / 2)
    along, across = (cos(radians(degrees)), sin(radians(degrees))) if degrees else (1.0, 0.0)
    ring = [
        (x + (px - x) * along - (py - y) * across, y + (px - x) * across + (py - y) * along)
        for px, py in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ]
    return Polygon([ring])


def outside(left: float, top: float, right: float, bottom: float, shape: tuple[int, int]) -> str:
    """Describe the extent of a shape outside its image; an empty string otherwise: a shape without pixels is too thin.

    Parameters
    ----------
    left, top, right, bottom
        Extent of the shape, in pixels.
    shape
        (H, W) of the image, in pixels.

    Examples
    --------
    >>> outside(5, 0, 9, 1, (4, 4))
    'x 5 to 9, y 0 to 1'
    """
    if right > 0 and bottom > 0 and left < shape[1] and top < shape[0]:
        return ""
    return f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"


def _check_inside(what: str, least: Sequence[float], most: Sequence[float], shape: tuple[int, int]) -> None:
    """Refuse a shape outside its image, given the smallest and the largest x and y."""
    if where := outside(least[0], least[1], most[0], most[1], shape):
        size = f"{shape[1]} x {shape[0]} (width x height)"
        problem = f"its {what}, {where}, is outside its image, {size}: correct it, or exclude it (--exclude)"
        raise RLEError(0, problem)


def points_of(content: Any) -> list[Point]:
    """Return the points of a JSON list ``[[x, y], ...]``; further numbers of a point, such as z, are ignored.

    Raises
    ------
    RLEError
        If it is not such a list. Its `place` is 0.
    """
    with suppress(msgspec.ValidationError):  # other lists are read point by point
        points: list[Point] = msgspec.convert(content, list[Point])
        return points
    if not isinstance(content, list):
        raise RLEError(0, f"its points are {shown(content)}: they must be a list of [x, y], in pixels")
    return [point_of(point) for point in content]


def point_of(content: Any) -> Point:
    """Return a JSON point; raises as `points_of` does."""
    if not isinstance(content, list) or len(content) < 2:
        raise RLEError(0, f"its point {shown(content)} is not [x, y], in pixels")
    return number_of(content[0], "x"), number_of(content[1], "y")


def number_of(value: Any, name: str) -> float:
    """Return a finite number, which may be written as a string.

    Raises
    ------
    RLEError
        If it is not one. Its `place` is 0.

    Examples
    --------
    >>> number_of(" 1.5", "x"), number_of(2, "x")
    (1.5, 2)
    """
    if isinstance(value, str) and re.fullmatch(
        r"\s*[+-]?(\d{1,30}\.?\d{0,30}|\.\d{1,30})([eE][+-]?\d{1,2})?\s*", value
    ):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FAR:
        raise RLEError(0, f"its {name} is {shown(value)}: it must be a number")
    return value


def shown(value: Any) -> str:
    """Return a shortened value for messages."""
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list) and (len(value) > 3 or any(isinstance(part, list | dict) for part in value)):
        return f"a list of {len(value)}"
    text = "missing, or null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
