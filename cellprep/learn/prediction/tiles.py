"""Tiles of an image: a network sees one at a time, and together their results equal that of the whole image."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pixels of padding on each side of an image at least, so that no network takes its edge for that of a cell.
PADDING = 16


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image.

    Attributes
    ----------
    window
        Rows and columns that the network sees, in coordinates of the image; in its padding they are negative, or
        beyond its end.
    core
        Rows and columns whose result is used, in the image.
    inner
        The same in the window.
    """

    window: tuple[slice, slice]
    core: tuple[slice, slice]
    inner: tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class _Span:
    """A tile along one axis."""

    window: slice
    core: slice

    @property
    def inner(self) -> slice:
        return slice(self.core.start - self.window.start, self.core.stop - self.window.start)


def cut_tiles(shape: tuple[int, int], multiple: int, margin: int, size: int) -> list[Tile]:
    """Cut an image into tiles whose cores cover each pixel once.

    The image is padded on all sides by at least `PADDING` pixels, to multiples of `multiple`, as evenly as possible.
    Windows start at multiples of `multiple` in the padded image, and have equal shapes. There are at least `margin`
    pixels between a core and each edge of its window that is not an edge of the padded image.

    Parameters
    ----------
    shape
        (H, W) of the image.
    multiple
        The sides of windows are multiples of this.
    margin
        Radius of the network's receptive field, in pixels; a multiple of `multiple`.
    size
        Longest side of a window in an image that is cut; at least ``2 * margin + multiple``. An image that is not
        longer is seen as a whole, with its padding.

    Examples
    --------
    >>> [(tile.window[1], tile.core[1]) for tile in cut_tiles((8, 30), 8, 8, 24)][:2]
    [(slice(-9, 15, None), slice(0, 7, None)), (slice(-1, 23, None), slice(7, 15, None))]
    """
    rows, columns = (_spans(length, multiple, margin, size) for length in shape)
    return [
        Tile((row.window, column.window), (row.core, column.core), (row.inner, column.inner))
        for row, column in product(rows, columns)
    ]


def _spans(length: int, multiple: int, margin: int, size: int) -> list[_Span]:
    padded = round_up(length + 2 * PADDING, multiple)
    first = -((padded - length) // 2)  # start of the padded image
    side = padded if length <= size else size // multiple * multiple
    spans: list[_Span] = []
    done = 0  # start of the next core
    while done < length:
        before = max(0, done - margin - first) // multiple * multiple  # pixels of the padded image before the window
        start = first + min(before, padded - side)
        stop = start + side
        end = length if stop == first + padded else min(stop - margin, length)
        spans.append(_Span(slice(start, stop), slice(done, end)))
        done = end
    return spans


def see(image: Any, window: tuple[slice, slice]) -> NDArray[Any]:
    """Return a window of an image (..., H, W) with infinite symmetric padding on all sides.

    The image may be any object that returns arrays for ``image[..., rows, columns]``; only visible parts are read.

    Examples
    --------
    >>> see(np.array([[1, 2, 3]]), (slice(0, 1), slice(-2, 8)))
    array([[2, 1, 1, 2, 3, 3, 2, 1, 1, 2]])
    """
    rows, columns = (_mirrored(part, length) for part, length in zip(window, image.shape[-2:], strict=True))
    part: NDArray[Any] = image[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return part[..., rows[:, None] - rows.min(), columns - columns.min()]


def _mirrored(part: slice, length: int) -> NDArray[np.int64]:
    """Return the pixels at these positions of a symmetrically padded axis."""
    place = np.arange(part.start, part.stop) % (2 * length)
    mirrored: NDArray[np.int64] = np.minimum(place, 2 * length - 1 - place)
    return mirrored


def round_up(number: int, multiple: int) -> int:
    """Return the next multiple.

    Examples
    --------
    >>> round_up(520, 16), round_up(16, 16), round_up(0, 16)
    (528, 16, 0)
    """
    return -(-number // multiple) * multiple
