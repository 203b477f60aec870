"""Cellpose's flows: unit vectors that climb the heat which spreads from the middle of each cell.

The rules are those of cellpose 4.2.1.1 as its code has them (`dynamics.labels_to_flows`, on the CPU), not its papers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TILE = 4  # pixels
_TILES_AT_ONCE = 2**13  # their heat, and all that it is added up from, stays in the processor's cache
_NO_SLOPE = 1e-60  # is added to the length by which a vector is divided

Places = NDArray[np.intp]


def flows(labels: NDArray[Any], steps: int | None = None) -> NDArray[np.float32]:
    """Return Cellpose's flows, which are made as follows.

    In each step every cell gets 1 at its centre, and then each of its pixels the sum over itself and those of its eight
    neighbours that are of the cell, divided by 9. After all steps, the flow of a pixel is the difference of the heat
    on both of its sides, along y and x, scaled to unit length: also that of a neighbour in another cell, and 0 on the
    background and beyond the image.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing. A cell is all pixels of one number, in one piece or
        several. A piece without the centre stays cold.
    steps
        How often heat spreads, where these are not all cells of the image: see `diffusion_steps`.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x), of length 1; 0 on the background and where there is no slope. Where heat
        is below 1e-60, the length falls to 0.

    Examples
    --------
    >>> flows(np.array([[1, 1, 1, 0, 2]]))[..., 1]
    array([[ 1.,  0., -1.,  0.,  0.]], dtype=float32)
    """
    rows, columns = labels.shape
    cells = _Runs.of(labels)
    heat = _spread(cells, cells.steps() if steps is None else steps)
    inside = cells.pixels
    y = heat[inside + cells.stride] - heat[inside - cells.stride]
    x = heat[inside + 1] - heat[inside - 1]
    length = np.sqrt(y * y + x * x) + _NO_SLOPE
    vectors = np.zeros((rows + 2, cells.stride, 2), np.float32)
    vectors.reshape(-1, 2)[inside] = np.stack([y / length, x / length], axis=1)
    return vectors[1:-1, 1 : columns + 1] + np.float32(0)  # zeros below zero become plain ones


def diffusion_steps(labels: NDArray[Any]) -> int:
    """Return how often heat spreads in an image: twice the largest sum, over its cells, of height, width and 2.

    Examples
    --------
    >>> diffusion_steps(np.array([[1, 1, 1, 0, 2]]))
    12
    """
    return _Runs.of(labels).steps()


@dataclass(frozen=True)
class _Runs:
    """The pixels of the cells of an image with a rim: cell by cell, in runs along the rows.

    Attributes
    ----------
    image
        Labels of the image with a rim of a pixel, and on the right of up to a tile, flat.
    stride
        Pixels from one row to the next: whole tiles.
    first, length
        (m,) of each run: first pixel, and number of pixels.
    cell
        (m,) of each run: the place of its cell among all, from 0; ascending.
    """

    image: NDArray[Any]
    stride: int
    first: Places
    length: Places
    cell: Places

    @classmethod
    def of(cls, labels: NDArray[Any]) -> "_Runs":
        """Find the runs of a label image, (H, W)."""
        image = np.pad(labels, ((1, 1), (1, _TILE - (labels.shape[1] + 1) % _TILE)))
        flat = image.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        first, length = changes[:-1], np.diff(changes)
        owner = flat[first]
        order = np.argsort(owner, kind="stable")[np.count_nonzero(owner == 0) :]
        owner = owner[order]
        cell = np.cumsum(np.diff(owner, prepend=owner[:1]) != 0)
        return cls(flat, image.shape[1], first[order], length[order], cell)

    @cached_property
    def pixels(self) -> Places:
        """The pixels of all runs, one after the other."""
        return _ranges(self.first, self.length)

    @cached_property
    def heads(self) -> Places:
        """The first run of each cell."""
        return np.flatnonzero(np.diff(self.cell, prepend=-1))

    @cached_property
    def corners(self) -> tuple[Places, Places, Places, Places]:
        """First and last row, first and last column of each cell."""
        row, column = np.divmod(self.first, self.stride)
        tails = np.append(self.heads[1:], len(row)) - 1
        left = np.minimum.reduceat(column, self.heads)
        right = np.maximum.reduceat(column + self.length - 1, self.heads)
        return row[self.heads], row[tails], left, right

    def steps(self) -> int:
        """Return how often heat spreads if these are all cells of the image."""
        if not len(self.first):
            return 0
        top, bottom, left, right = self.corners
        return 2 * int((bottom - top + right - left + 4).max())

    def centres(self) -> Places:
        """Return the pixel of each cell from which heat spreads.

        It is the mean of its pixels, rounded to a whole one, halves to the even one if counted from the corner of its
        bounding box; or where that is not of the cell, the one nearest to it, the first of equally near ones.
        """
        top, _, left, _ = self.corners
        row, column = np.divmod(self.first, self.stride)
        row, column = row - top[self.cell], column - left[self.cell]
        size = np.add.reduceat(self.length, self.heads)
        y = np.rint(np.add.reduceat(row * self.length, self.heads) / size).astype(np.intp)
        columns = column * self.length + self.length * (self.length - 1) // 2
        x = np.rint(np.add.reduceat(columns, self.heads) / size).astype(np.intp)
        centres = (top + y) * self.stride + left + x
        for number in np.flatnonzero(self.image[centres] != self.image[self.first[self.heads]]).tolist():
            runs = slice(*np.searchsorted(self.cell, [number, number + 1]))
            pixels = _ranges(self.first[runs], self.length[runs])
            down, along = np.divmod(pixels, self.stride)
            centre_y, centre_x = np.divmod(centres[number], self.stride)
            centres[number] = pixels[np.argmin((down - centre_y) ** 2 + (along - centre_x) ** 2)]
        return centres


def _ranges(first: Places, length: Places) -> Places:
    """Return the numbers of ranges, one after the other."""
    before = np.cumsum(length) - length
    return np.arange(int(length.sum())) + np.repeat(first - before, length)


def _spread(cells: _Runs, steps: int) -> NDArray[np.float64]:
    """Return the heat of each pixel, flat, after some steps: 0 outside all cells.

    The heat of a cell is kept in tiles of four pixels side by side, one tile after the other. They hold its pixels and
    those to the left and the right of them, so that the next slot in memory is a pixel's neighbour within the row, or
    cold. A tile above or below is fetched as a whole, much sooner than four pixels.
    """
    heat = np.zeros(len(cells.image))
    if not len(cells.first):
        return heat
    first = (cells.first - 1) // _TILE
    count = (cells.first + cells.length) // _TILE - first + 1
    tile, cell = _ranges(first, count), np.repeat(cells.cell, count)
    tiles_of_image = len(heat) // _TILE
    key = cell * tiles_of_image + tile  # ascending: a cell's next run begins in the same tile or a later one
    once = np.diff(key, prepend=-1) > 0
    key, tile, cell = key[once], tile[once], cell[once]
    above = np.searchsorted(key, key - cells.stride // _TILE)
    above[key[above] != key - cells.stride // _TILE] = -1
    below = np.full(len(key), -1)
    below[above[above >= 0]] = np.flatnonzero(above >= 0)
    label, centres = cells.image[cells.first[cells.heads]], cells.centres()
    hot = np.searchsorted(key, np.arange(len(centres)) * tiles_of_image + centres // _TILE) * _TILE + centres % _TILE
    for start, end in _batches(np.append(np.flatnonzero(np.diff(cell)) + 1, len(cell))):
        pixel = tile[start:end, np.newaxis] * _TILE + np.arange(_TILE)
        inside = cells.image[pixel] == label[cell[start:end], np.newaxis]
        found = _diffused(
            np.maximum(above[start:end] - (start - 1), 0),
            np.maximum(below[start:end] - (start - 1), 0),
            inside,
            hot[cell[start] : cell[end - 1] + 1] - (start - 1) * _TILE,
            steps,
        )
        heat[pixel[inside]] = found[inside]
    return heat


def _batches(ends: Places) -> Iterator[tuple[int, int]]:
    """Yield where batches of whole cells start and end, given the end of each cell's tiles."""
    start = 0
    while start < ends[-1]:
        last = int(np.searchsorted(ends, start + _TILES_AT_ONCE, side="right"))
        end = int(ends[max(last - 1, np.searchsorted(ends, start, side="right"))])
        yield start, end
        start = end


def _diffused(
    above: Places, below: Places, inside: NDArray[np.bool_], hot: Places, steps: int
) -> NDArray[np.float64]:
    """Return the heat in tiles, (n, 4), after some steps.

    Parameters
    ----------
    above, below
        (n,) for each tile: 1 + the place of the one above or below, or 0 if the cell has none there.
    inside
        (n, 4): whether a slot belongs to a pixel; the others stay cold.
    hot
        The slots of the cells' centres, counted from the first one of a cold tile before the others.
    """
    tiles = np.zeros((len(inside) + 1, _TILE))
    over, under = np.empty(inside.shape), np.empty(inside.shape)
    heat, up, down = tiles.ravel(), over.ravel(), under.ravel()
    here, left, right = heat[_TILE + 1 : -1], heat[_TILE:-2], heat[_TILE + 2 :]  # the first and the last slot are cold
    # The order in which Cellpose adds up: on ridges, where both sides are equally warm, the rounding points the way.
    others = (down[1:-1], left, right, up[:-2], up[2:], down[:-2], down[2:])
    total = np.empty_like(here)
    nine = np.where(inside, 9.0, np.inf).ravel()[1:-1]  # cold slots stay 0
    for _ in range(steps):
        heat[hot] += 1
        tiles.take(above, axis=0, out=over, mode="clip")  # other modes copy
        tiles.take(below, axis=0, out=under, mode="clip")
        np.add(here, up[1:-1], out=total)
        for other in others:
            np.add(total, other, out=total)
        np.divide(total, nine, out=here)
    return tiles[1:]
