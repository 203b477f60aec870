"""Heat that diffuses within each cell from one of its pixels, as in Cellpose."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TILE = 4  # pixels
_TILES_AT_ONCE = 2**12  # so that heat and its sums stay in the processor's cache

Places = NDArray[np.intp]


def ranges(first: Places, length: Places) -> Places:
    """Concatenate ranges of numbers.

    Examples
    --------
    >>> ranges(np.array([3, 9]), np.array([2, 3]))
    array([ 3,  4,  9, 10, 11])
    """
    before = np.cumsum(length) - length
    numbers: Places = np.arange(int(length.sum())) + np.repeat(first - before, length)
    return numbers


@dataclass(frozen=True)
class CellRuns:
    """The pixels of all cells of a padded image: cell by cell, in runs along the rows.

    Attributes
    ----------
    image
        Flat label image, padded by one pixel, and on the right up to a whole tile.
    stride
        Pixels from one row to the next: a multiple of the tile size.
    first, length
        (m,) for each run: first pixel, and number of pixels.
    cell
        (m,) for each run: index of its cell, from 0; ascending.
    """

    image: NDArray[Any]
    stride: int
    first: Places
    length: Places
    cell: Places

    @classmethod
    def of(cls, labels: NDArray[Any]) -> "CellRuns":
        """Find the runs of a label image, (H, W) integers, 0 = background."""
        image = np.pad(labels, ((1, 1), (1, _TILE - (labels.shape[1] + 1) % _TILE)))
        flat = image.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        first, length = changes[:-1], np.diff(changes)
        label = flat[first]
        order = np.argsort(label, kind="stable")[np.count_nonzero(label == 0) :]
        return cls(flat, image.shape[1], first[order], length[order], _numbered(label[order]))

    @cached_property
    def pixels(self) -> Places:
        """The pixels of all runs, concatenated."""
        return ranges(self.first, self.length)

    @cached_property
    def heads(self) -> Places:
        """The first run of each cell."""
        return np.flatnonzero(np.diff(self.cell, prepend=-1))

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The label of each cell."""
        return self.image[self.first[self.heads]]

    def only(self, wanted: NDArray[np.bool_]) -> "CellRuns":
        """Return the runs of selected cells, (n,) bool."""
        runs = wanted[self.cell]
        return replace(self, first=self.first[runs], length=self.length[runs], cell=_numbered(self.cell[runs]))


def _numbered(labels: NDArray[Any]) -> Places:
    """Renumber ascending numbers with gaps as 0, 1, ..."""
    return np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)


def spread(cells: CellRuns, centres: Places, steps: int, *, in_order: bool) -> NDArray[np.float64]:
    """Return the heat of each pixel after a number of steps.

    In a step each cell gets 1 at its centre. Then each of its pixels becomes the sum over itself and those of its eight
    neighbours in the same cell, divided by 9.

    Parameters
    ----------
    cells
        The cells.
    centres
        (n,) pixel of each cell at which heat is added.
    steps
        Number of steps.
    in_order
        Whether to sum in Cellpose's order, so that results are equal bit for bit. Summing rows first takes half the
        time.

    Returns
    -------
    ndarray
        As `CellRuns.image`, float64: 0 outside cells.
    """
    heat = np.zeros(len(cells.image))
    if len(cells.first):
        for pixel, tiles in _tiles(cells, centres):
            found = tiles.after(steps, in_order=in_order)
            heat[pixel[tiles.inside]] = found[tiles.inside]
    return heat


@dataclass(frozen=True)
class _Tiles:
    """Pixels of cells in tiles of four adjacent ones, so that a tile above or below is fetched as a whole.

    The tiles of a cell contain its pixels and their left and right neighbours, so that the slots before and after a
    pixel are its neighbours in the row.

    Attributes
    ----------
    inside
        (n, 4): whether a slot is a pixel of the cell; other slots stay cold.
    above, below
        (n,) for each tile: 1 + index of the tile above or below, or 0 if the cell has none there.
    hot
        Slots of the cells' centres, counted from the first slot of a cold tile before all others.
    """

    inside: NDArray[np.bool_]
    above: Places
    below: Places
    hot: Places

    def after(self, steps: int, *, in_order: bool) -> NDArray[np.float64]:
        """Return the heat, (n, 4), after a number of steps."""
        # One additional cold tile before all others, and one after them.
        heat, rows, over, under = (np.zeros((len(self.inside) + 2, _TILE)) for _ in range(4))
        source = heat if in_order else rows
        (left, here, right), (_, row, _) = _beside(heat), _beside(rows)
        (above_left, above, above_right), (below_left, below, below_right) = _beside(over), _beside(under)
        others = (below, left, right, above_left, above_right, below_left, below_right)
        nine = np.where(self.inside, 9.0, np.inf).ravel()
        ninth = 1 / nine
        total = np.empty_like(here)
        for _ in range(steps):
            heat.ravel()[self.hot] += 1
            if not in_order:
                np.add(left, here, out=row)
                np.add(row, right, out=row)
            source.take(self.above, axis=0, out=over[1:-1], mode="clip")  # other modes copy
            source.take(self.below, axis=0, out=under[1:-1], mode="clip")
            if in_order:
                np.add(here, above, out=total)
                for other in others:
                    np.add(total, other, out=total)
                np.divide(total, nine, out=here)
            else:
                np.add(row, above, out=total)
                np.add(total, below, out=total)
                np.multiply(total, ninth, out=here)
        return heat[1:-1]


def _beside(tiles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return left neighbour, slot and right neighbour of all slots but those of the first and last tile."""
    flat = tiles.ravel()
    return flat[_TILE - 1 : -_TILE - 1], flat[_TILE:-_TILE], flat[_TILE + 1 : 1 - _TILE]


def _tiles(cells: CellRuns, centres: Places) -> Iterator[tuple[Places, _Tiles]]:
    """Yield the pixels, (n, 4), and the tiles of cells in batches."""
    first = (cells.first - 1) // _TILE
    count = (cells.first + cells.length) // _TILE - first + 1
    tile, cell = ranges(first, count), np.repeat(cells.cell, count)
    in_image, in_row = len(cells.image) // _TILE, cells.stride // _TILE
    key = cell * in_image + tile  # ascending, as a cell's next run begins in the same tile or a later one
    once = np.diff(key, prepend=-1) > 0
    key, tile, cell = key[once], tile[once], cell[once]
    above = np.searchsorted(key, key - in_row)
    above[key[above] != key - in_row] = -1
    below = np.full(len(key), -1)
    below[above[above >= 0]] = np.flatnonzero(above >= 0)
    hot = np.searchsorted(key, np.arange(len(centres)) * in_image + centres // _TILE) * _TILE + centres % _TILE
    for start, end in _batches(np.append(np.flatnonzero(np.diff(cell)) + 1, len(cell))):
        pixel = tile[start:end, np.newaxis] * _TILE + np.arange(_TILE)
        yield (
            pixel,
            _Tiles(
                cells.image[pixel] == cells.labels[cell[start:end], np.newaxis],
                np.maximum(above[start:end] - (start - 1), 0),
                np.maximum(below[start:end] - (start - 1), 0),
                hot[cell[start] : cell[end - 1] + 1] - (start - 1) * _TILE,
            ),
        )


def _batches(ends: Places) -> Iterator[tuple[int, int]]:
    """Yield start and end of batches of whole cells, given the end of each cell's tiles."""
    start = 0
    while start < ends[-1]:
        first, beyond = np.searchsorted(ends, [start, start + _TILES_AT_ONCE], side="right").tolist()
        end = int(ends[max(first, beyond - 1)])
        yield start, end
        start = end
