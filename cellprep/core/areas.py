"""Rasterised shapes, as runs of pixels: polygons with holes, ellipses, and bitmaps in a box.

The pixel in row y and column x is the square from (x, y) to (x + 1, y + 1). It is part of a shape if its centre,
(x + 0.5, y + 0.5), lies within the outline.
"""

from collections.abc import Sequence
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.filling import fill_outlines
from cellprep.core.rle import Runs
from cellprep.errors import RLEError

#: (2, r) int64: first pixel of each run, and the pixel after its end, in row-major order; runs do not touch.
Spans = NDArray[np.int64]

_LEAST = 1e-6  # smallest radius, in pixels
_TINY = 1e-9  # pixels: a pixel centre on the ellipse counts as inside despite rounding


def polygon_spans(polygons: Sequence[Sequence[NDArray[np.float64]]], shape: tuple[int, int]) -> list[Spans]:
    """Rasterise polygons by the even-odd rule. Arguments and errors are those of `fill_outlines`.

    Examples
    --------
    >>> polygon_spans([[np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]])]], (3, 4))
    [array([[1, 5],
           [3, 7]])]
    """
    runs = fill_outlines(polygons, shape)
    spans = np.stack([runs.starts, runs.starts + runs.lengths])
    return np.split(spans, runs.offsets[1:-1], axis=1) if len(runs) else []


def ellipse_spans(
    centre: tuple[float, float], radii: tuple[float, float], shape: tuple[int, int], degrees: float = 0
) -> Spans:
    """Rasterise an ellipse. Pixels whose centres lie on the outline are included.

    Parameters
    ----------
    centre
        x and y, in pixels.
    radii
        Along x and along y, before rotation, in pixels.
    shape
        (H, W) of the image, in pixels.
    degrees
        Rotation about the centre, clockwise in image coordinates.

    Raises
    ------
    RLEError
        If the parameters do not define an ellipse. Its `place` is 0.

    Examples
    --------
    >>> runs_of_spans([ellipse_spans((2, 1.5), (2, 1), (3, 4))], (3, 4)).to_masks()[0].astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 1, 1],
           [0, 0, 0, 0]])
    """
    height, width = shape
    numbers = np.array([*centre, *radii, degrees])
    if not (np.abs(numbers) < 1e9).all() or min(radii) < _LEAST:
        raise RLEError(
            0, f"an ellipse needs a finite centre and radii above 0, but its radii are {radii[0]}, {radii[1]}"
        )
    # A pixel is inside where a dx^2 + b dx dy + c dy^2 <= 1, which in each row is an interval of dx.
    turned = (cos(radians(degrees)), sin(radians(degrees)))
    a = (turned[0] / radii[0]) ** 2 + (turned[1] / radii[1]) ** 2
    b = 2 * turned[0] * turned[1] * (radii[0] ** -2 - radii[1] ** -2)
    c = (turned[1] / radii[0]) ** 2 + (turned[0] / radii[1]) ** 2
    reach = np.hypot(radii[0] * turned[1], radii[1] * turned[0])
    first, last = np.clip([centre[1] - reach - 1, centre[1] + reach + 1], 0, height).astype(int)
    rows = np.arange(first, last)
    dy = rows + 0.5 - centre[1]
    root = np.sqrt(np.maximum((b * dy) ** 2 - 4 * a * (c * dy**2 - 1), 0)) / (2 * a)
    middle = centre[0] - 0.5 - b * dy / (2 * a)
    left = np.clip(np.ceil(middle - root - _TINY), 0, width).astype(np.int64)
    right = np.clip(np.floor(middle + root + _TINY) + 1, 0, width).astype(np.int64)
    inside = (right > left) & (np.abs(dy) <= reach + _TINY)
    return united([np.stack([rows * width + left, rows * width + right])[:, inside]])


def bitmap_spans(bitmap: NDArray[Any], left: int, top: int, shape: tuple[int, int]) -> Spans:
    """Return the pixels of a bitmap placed in an image.

    Parameters
    ----------
    bitmap
        (h, w) bool.
    left, top
        Column and row of its upper left pixel in the image.
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If the bitmap exceeds the image. Its `place` is 0.

    Examples
    --------
    >>> bitmap_spans(np.ones((2, 1), bool), 1, 0, (2, 3))
    array([[1, 4],
           [2, 5]])
    """
    height, width = bitmap.shape
    check_box((height, width), left, top, shape)
    sides = np.diff(np.pad(bitmap.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    spans = []
    for side in (1, -1):
        rows, columns = np.nonzero(sides == side)
        spans.append((rows + top) * shape[1] + columns + left)
    return united([np.array(spans, np.int64)])


def check_box(size: tuple[int, int], left: int, top: int, shape: tuple[int, int]) -> None:
    """Refuse a box of size (h, w) that exceeds the image; parameters and errors as for `bitmap_spans`.

    Examples
    --------
    >>> check_box((2, 2), 1, 0, (2, 2))
    Traceback (most recent call last):
    cellprep.errors.RLEError: annotation 0: its mask, 2 x 2 (height x width) at row 0, column 1, exceeds the image, ...
    """
    if not (0 <= left <= shape[1] - size[1] and 0 <= top <= shape[0] - size[0]):
        raise RLEError(
            0,
            f"its mask, {size[0]} x {size[1]} (height x width) at row {top}, column {left}, exceeds the "
            f"image, {shape[0]} x {shape[1]}",
        )


def united(areas: Sequence[Spans]) -> Spans:
    """Return the union of several areas.

    Examples
    --------
    >>> united([np.array([[0, 7], [3, 9]]), np.array([[2], [5]])])
    array([[0, 7],
           [5, 9]])
    """
    bounds = np.concatenate([np.zeros((2, 0), np.int64), *areas], axis=1)
    steps = np.repeat([1, -1], bounds.shape[1])  # +1 where an area begins, -1 where it ends
    bounds = bounds.ravel()
    order = np.argsort(bounds, kind="stable")
    bounds, depth = bounds[order], np.cumsum(steps[order])
    latest = np.diff(bounds, append=-1) != 0  # keep the last of several changes at one pixel
    changes = np.flatnonzero(np.diff(depth[latest] > 0, prepend=False))
    spans: Spans = bounds[latest][changes].reshape(-1, 2).T
    return spans


def runs_of_spans(areas: Sequence[Spans], shape: tuple[int, int]) -> Runs:
    """Return areas as the masks of an image's annotations, one annotation for each."""
    starts, ends = np.concatenate([np.zeros((2, 0), np.int64), *areas], axis=1)
    offsets = np.concatenate(([0], np.cumsum([area.shape[1] for area in areas], dtype=np.int64)))
    return Runs(starts, ends - starts, offsets, shape, "row")
