"""Neighbours of cells: the number of touching cells, and the distance to the nearest cell."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cellprep.core.measures.region import Read, Region, around
from cellprep.core.windows import Window, windows

_HALO = 64  # initial search radius around all cells, in pixels
_REACH = 3  # initial search radius around one cell, in pixels
_FURTHER = 4  # factor by which both grow
_PAIRS_AT_ONCE = 1 << 16  # for more pairs of pixels a tree is faster

# Half of the eight neighbours of a pixel: the other half gives the same pairs in reverse.
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def touching_cells(region: Region) -> NDArray[np.int64]:
    """Return the number of other cells that touch each cell, along a side or at a corner of a pixel."""
    labels = region.labels
    height, width = labels.shape
    found = []
    for down, across in _STEPS:
        one = labels[: height - down, max(0, -across) : width - max(0, across)]
        other = labels[down:, max(0, across) : width + min(0, across)]
        meet = (one != other) & (one > 0) & (other > 0)
        found += [np.stack([one[meet], other[meet]]), np.stack([other[meet], one[meet]])]
    pairs = np.unique(np.concatenate(found, axis=1), axis=1)
    return np.bincount(region.places(pairs[0]), minlength=len(region.numbers) + 1)[:-1]


def nearest_distances(region: Region) -> NDArray[np.float64]:
    """Return the shortest distance from each cell's pixels to those of another cell, in pixels; NaN if there is none.

    Only border pixels are compared: of the two pixels that are nearest to each other, each has a neighbour outside its
    cell. The surroundings are read as far as needed for a certain result.
    """
    distances = np.full(len(region.numbers), np.nan)
    unknown = np.arange(len(region.numbers))
    halo = _HALO
    while len(unknown):
        area = around(region.boxes[unknown], halo, region.shape)
        is_all = area == tuple(slice(0, size) for size in region.shape)
        search = _Search(*_borders(region.read, area, region.shape))
        reach = sum(region.shape) if is_all else halo
        for k in unknown.tolist():
            distances[k] = search.nearest(int(region.numbers[k]), region.boxes[k].tolist(), reach)
        unknown = unknown[:0] if is_all else unknown[np.isnan(distances[unknown])]
        halo *= _FURTHER
    return distances


class _Search:
    """Pixels of cells, searchable for those near a cell.

    Parameters
    ----------
    points
        (p, 2) rows and columns, sorted by row.
    owners
        (p,) label of each point.
    """

    def __init__(self, points: NDArray[np.int64], owners: NDArray[np.int64]) -> None:
        self._points, self._owners = points, owners
        self._rows = np.ascontiguousarray(points[:, 0])
        self._by_owner = np.argsort(owners, kind="stable")
        self._sorted = owners[self._by_owner]

    def nearest(self, number: int, box: list[int], farthest: int) -> float:
        """Return the distance from a cell to the nearest other one; NaN if it exceeds `farthest`."""
        own = self._points[self._by_owner[slice(*np.searchsorted(self._sorted, [number, number + 1]))]]
        reach = _REACH
        while True:
            reach = min(reach, farthest)
            others = self._others(number, box, reach)
            # The corners of the square may contain pixels that are farther than those just outside its sides.
            if len(others) and (squared := _least_squared(own, others)) <= reach**2:
                return sqrt(squared)
            if reach == farthest:
                return np.nan
            reach *= _FURTHER

    def _others(self, number: int, box: list[int], reach: int) -> NDArray[np.int64]:
        """Return the pixels of other cells within `reach` of a box."""
        top, left, bottom, right = box
        near = slice(*np.searchsorted(self._rows, [top - reach, bottom + reach]))
        columns = self._points[near, 1]
        chosen = (columns >= left - reach) & (columns < right + reach) & (self._owners[near] != number)
        others: NDArray[np.int64] = self._points[near][chosen]
        return others


def _least_squared(own: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """Return the smallest squared distance between two sets of pixels, as an integer."""
    if len(own) * len(others) <= _PAIRS_AT_ONCE:
        down = own[:, np.newaxis, 0] - others[:, 0]
        across = own[:, np.newaxis, 1] - others[:, 1]
        return int((down * down + across * across).min())
    from scipy.spatial import cKDTree

    found, _ = cKDTree(own).query(others)
    return round(float(found.min()) ** 2)


def _borders(read: Read, area: Window, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels in an area, sorted by row, that are adjacent to a pixel of another label, and their labels.

    The image's edge does not count.
    """
    rows, columns = area
    points, owners = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
    for down, across in windows((rows.stop - rows.start, columns.stop - columns.start)):
        top, left = rows.start + down.start, columns.start + across.start
        bottom, right = rows.start + down.stop, columns.start + across.stop
        outer = slice(max(top - 1, 0), min(bottom + 1, shape[0])), slice(max(left - 1, 0), min(right + 1, shape[1]))
        labels = read(outer)
        differs = np.zeros(labels.shape, bool)
        for one, other in (
            ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
            ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ):
            change = labels[one] != labels[other]
            differs[one] |= change
            differs[other] |= change
        y, x = np.nonzero(differs & (labels > 0))
        y, x = y + outer[0].start, x + outer[1].start
        inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
        points.append(np.stack([y, x], axis=1)[inside])
        owners.append(labels[y - outer[0].start, x - outer[1].start][inside].astype(np.int64))
    found, whose = np.concatenate(points), np.concatenate(owners)
    if len(points) > 2:
        order = np.argsort(found[:, 0], kind="stable")
        found, whose = found[order], whose[order]
    return found, whose
