"""Windows into an image that continues beyond its border as its own mirror image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import TARGETS


@dataclass(frozen=True, slots=True)
class Span:
    """A range of pixels along one axis of an image: from `start` up to `stop`, which may both lie outside it.

    Examples
    --------
    >>> Span(-2, 4).indices(3)
    array([1, 0, 0, 1, 2, 2])
    >>> Span(-2, 4).mirrored(3)
    array([ True,  True, False, False, False,  True])
    """

    start: int
    stop: int

    def indices(self, size: int) -> NDArray[np.intp]:
        """Return the visible pixels of an axis of this size, as in ``numpy.pad(mode="symmetric")``."""
        places = np.arange(self.start, self.stop) % (2 * size)
        return np.minimum(places, 2 * size - 1 - places)

    def mirrored(self, size: int) -> NDArray[np.bool_]:
        """Return a mask of the mirrored pixels, in which vectors along the axis change sign."""
        return np.arange(self.start, self.stop) % (2 * size) >= size

    def real(self, size: int) -> NDArray[np.bool_]:
        """Return a mask of the pixels inside the image."""
        places = np.arange(self.start, self.stop)
        return (places >= 0) & (places < size)

    def within(self, size: int) -> bool:
        """Return whether all pixels are inside the image."""
        return self.start >= 0 and self.stop <= size

    def moved(self, by: int) -> "Span":
        """Return the span shifted by a number of pixels."""
        return Span(self.start + by, self.stop + by)

    def limited(self, size: int) -> "Span":
        """Return the part of the span that is within an axis of this size."""
        return Span(max(self.start, 0), min(self.stop, size))

    def __len__(self) -> int:
        return self.stop - self.start


def cut(array: NDArray[Any], rows: Span, columns: Span) -> NDArray[Any]:
    """Cut a window out of an array (H, W, ...); it may be a view."""
    height, width = array.shape[:2]
    if rows.within(height) and columns.within(width):
        return array[rows.start : rows.stop, columns.start : columns.stop]
    down, across = rows.indices(height), columns.indices(width)
    part = array[down.min() : down.max() + 1, across.min() : across.max() + 1]
    taken: NDArray[Any] = part.take(down - down.min(), axis=0).take(across - across.min(), axis=1)
    return taken


def cut_targets(targets: Mapping[str, NDArray[Any]], rows: Span, columns: Span) -> dict[str, NDArray[Any]]:
    """Cut a window out of arrays (H, W, ...) by name; mirrored parts are as each target defines them."""
    windows = {name: cut(array, rows, columns) for name, array in targets.items()}
    height, width = next((array.shape[:2] for array in targets.values()), (0, 0))
    if not targets or (rows.within(height) and columns.within(width)):
        return windows
    signs = np.ones((len(rows), len(columns), 2), np.float32)
    signs[rows.mirrored(height), :, 0] = -1
    signs[:, columns.mirrored(width), 1] = -1
    return {
        name: TARGETS[name].mirrored(window, signs) if name in TARGETS else window for name, window in windows.items()
    }


def turned(array: NDArray[Any], turn: NDArray[np.int64]) -> NDArray[Any]:
    """Flip an array and rotate it by multiples of 90 degrees.

    Parameters
    ----------
    array
        (H, W, ...).
    turn
        (2, 2) of 0, 1 and -1: maps offsets (y, x) from the result's centre to those from the array's centre.

    Examples
    --------
    >>> turned(np.array([[1, 2], [3, 4]]), np.array([[0, 1], [-1, 0]]))
    array([[2, 4],
           [1, 3]])
    """
    down, across = turn.sum(axis=1)
    flipped = array[::down, ::across]
    return flipped if turn[0, 0] else flipped.swapaxes(0, 1)


def turned_targets(targets: Mapping[str, NDArray[Any]], turn: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Transform arrays (H, W, ...) by name as `turned` does, and rotate the values of targets that are vectors."""
    arrays = {name: turned(array, turn) for name, array in targets.items()}
    return {name: TARGETS[name].turned(array, turn) if name in TARGETS else array for name, array in arrays.items()}
