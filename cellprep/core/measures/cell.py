"""One cell, cropped from its image, with cached quantities for its measurements."""

from dataclasses import dataclass
from functools import cached_property
from math import atan2, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIAMOND = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])  # from a pixel's centre to the midpoints of its sides, doubled


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    mask
        (h, w) bool: its pixels within its bounding box.
    box
        First row, first column, end row, end column, in pixels of the image.
    pixels
        (C, h, w): the image within its bounding box; None without an image.
    """

    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    pixels: NDArray[Any] | None = None

    @cached_property
    def area(self) -> float:
        """Number of pixels."""
        return float(np.count_nonzero(self.mask))

    @cached_property
    def _sums(self) -> tuple[int, int]:
        """Sums of the rows and of the columns of its pixels, relative to its box."""
        rows, columns = self.mask.sum(axis=1), self.mask.sum(axis=0)
        return int(rows @ np.arange(len(rows))), int(columns @ np.arange(len(columns)))

    @property
    def centroid(self) -> tuple[float, float]:
        """Mean row and column of its pixels, as quotients of integers, independent of the order of summation."""
        rows, columns = self._sums
        return (rows + self.box[0] * self.area) / self.area, (columns + self.box[1] * self.area) / self.area

    @cached_property
    def inertia(self) -> tuple[float, float, float]:
        """The inertia tensor: its elements (0, 0), (0, 1) and (1, 1).

        Moments are computed like in `skimage.measure.moments_central`, by the same two calls, up to order 3: with
        other products or a lower order the linear algebra library may sum in another order, depending on the processor.
        """
        powers = [
            (np.arange(size, dtype=float) - centre)[:, np.newaxis] ** np.arange(4.0)
            for size, centre in zip(self.mask.shape, (total / self.area for total in self._sums), strict=True)
        ]
        of_columns = np.einsum("rc,rk->kc", self.mask.astype(float), powers[0], optimize="greedy")
        moments = np.einsum("kc,cl->kl", of_columns, powers[1], optimize="greedy")
        pixels, both = moments[0, 0], moments[2, 0] + moments[0, 2]
        a, c = (both - moments[2, 0]) / pixels, (both - moments[0, 2]) / pixels
        return float(a), float(-moments[1, 1] / pixels), float(c)

    @cached_property
    def inertia_eigenvalues(self) -> tuple[float, float]:
        """Eigenvalues of the inertia tensor, in descending order."""
        a, b, c = self.inertia
        low, high = np.clip(np.linalg.eigvalsh(np.array([[a, b], [b, c]])), 0, None).tolist()
        return high, low

    @property
    def eccentricity(self) -> float:
        """Eccentricity of the ellipse with the same second moments: 0 for a circle, close to 1 for a line."""
        high, low = self.inertia_eigenvalues
        return sqrt(1 - low / high) if high else 0.0

    @property
    def orientation(self) -> float:
        """Angle between the row axis and the ellipse's major axis, in radians from -pi/2 to pi/2."""
        a, b, c = self.inertia
        if a == c:
            return pi / 4 if b < 0 else -pi / 4
        return 0.5 * atan2(-2 * b, c - a)

    @cached_property
    def _hull(self) -> NDArray[np.int64]:
        """First and last pixel in each row of its box of `skimage.morphology.convex_hull_image`: (h, 2).

        These are the pixels whose centres lie in the convex hull of the midpoints of pixel sides, or on its outline.
        All coordinates are doubled, so that they are integers.
        """
        corners = _convex_hull(_row_ends(self.mask))
        (y0, x0), (y1, x1) = corners.T, np.roll(corners, -1, axis=0).T
        down = y1 != y0  # horizontal edges end where others do
        y0, x0, y1, x1 = y0[down], x0[down], y1[down], x1[down]
        rows = 2 * np.arange(len(self.mask))[:, np.newaxis]
        # The crossing of an edge and a row, as a fraction; twice the length, as columns are not doubled here.
        sign = np.sign(y1 - y0)
        across = sign * (x0 * (y1 - y0) + (rows - y0) * (x1 - x0))
        per = 2 * np.abs(y1 - y0)
        crosses = (np.minimum(y0, y1) <= rows) & (rows <= np.maximum(y0, y1))
        beyond = self.mask.shape[1]
        first = np.where(crosses, -(-across // per), beyond).min(axis=1)
        last = np.where(crosses, across // per, -1).max(axis=1)
        return np.stack([first, last], axis=1)

    @property
    def convex_area(self) -> float:
        """Number of pixels of its convex hull."""
        return float((self._hull[:, 1] - self._hull[:, 0] + 1).sum())

    @property
    def feret_diameter_max(self) -> float:
        """Longest distance between two points of its convex hull's outline, which runs halfway to adjacent pixels."""
        first, last = self._hull.T
        rows = np.arange(len(self.mask))
        corners = _convex_hull(np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1))
        apart = corners[:, np.newaxis] - corners
        return sqrt(int((apart * apart).sum(axis=-1).max()) / 4)

    @cached_property
    def values(self) -> NDArray[Any]:
        """Intensities of its pixels, row by row: (n,), or (n, C) for several channels."""
        assert self.pixels is not None
        values: NDArray[Any] = np.ascontiguousarray(self.pixels[:, self.mask].T)
        return values[:, 0] if len(self.pixels) == 1 else values


def _row_ends(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first and the last pixel of each row that has any: (k, 2) rows and columns."""
    rows = np.flatnonzero(mask.any(axis=1))
    filled = mask[rows]
    last = mask.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    return np.stack([np.tile(rows, 2), np.concatenate([filled.argmax(axis=1), last])], axis=1)


def _convex_hull(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the corners of the convex hull of the midpoints of pixel sides, rows and columns, doubled: (k, 2)."""
    import cv2

    outermost = cv2.convexHull(pixels.astype(np.int32))
    corners: NDArray[np.int32] = cv2.convexHull((2 * outermost + _DIAMOND).reshape(-1, 1, 2).astype(np.int32))[:, 0]
    return corners.astype(np.int64)
