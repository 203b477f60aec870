"""Parts of an image that a network sees one at a time, such that together they give what it would give of the whole."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tile", "cut_tiles", "round_up", "see"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image.

    Attributes
    ----------
    window
        Rows and columns that the network sees, in the padded image.
    core
        Rows and columns whose result counts, in the image.
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

    Windows begin at multiples of `multiple` and have equal shapes. Between a core and an edge of its window that is
    not the padded image's lie at least `margin` pixels.

    Parameters
    ----------
    shape
        (H, W) of the image, which is padded at its lower and right edge to the next multiples.
    multiple
        What the sides of windows are multiples of.
    margin
        How far a network sees, in pixels; a multiple of `multiple`.
    size
        Longest side of a window; at least ``2 * margin + multiple``.

    Examples
    --------
    >>> [(tile.window[1], tile.core[1]) for tile in cut_tiles((8, 30), 8, 8, 24)]
    [(slice(0, 24, None), slice(0, 16, None)), (slice(8, 32, None), slice(16, 30, None))]
    """
    rows, columns = (_spans(length, multiple, margin, size) for length in shape)
    return [
        Tile((row.window, column.window), (row.core, column.core), (row.inner, column.inner))
        for row, column in product(rows, columns)
    ]


def _spans(length: int, multiple: int, margin: int, size: int) -> list[_Span]:
    padded = round_up(length, multiple)
    side = min(size // multiple * multiple, padded)
    spans: list[_Span] = []
    done = 0  # where the next core begins
    while done < length:
        start = min(max(0, done - margin), padded - side)
        stop = start + side
        end = length if stop == padded else stop - margin
        spans.append(_Span(slice(start, stop), slice(done, end)))
        done = end
    return spans


def see(image: Any, window: tuple[slice, slice]) -> NDArray[Any]:
    """Return a window of an image (..., H, W) that is padded symmetrically at its lower and right edge.

    The image may be anything that gives arrays for ``image[..., rows, columns]``: no more is asked of it than is seen.

    Examples
    --------
    >>> see(np.array([[1, 2, 3]]), (slice(0, 1), slice(0, 8)))
    array([[1, 2, 3, 3, 2, 1, 1, 2]])
    """
    rows, columns = (_mirrored(part, length) for part, length in zip(window, image.shape[-2:], strict=True))
    part: NDArray[Any] = image[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return part[..., rows[:, None] - rows.min(), columns - columns.min()]


def _mirrored(part: slice, length: int) -> NDArray[np.int64]:
    """Return the pixels that lie at these places of a symmetrically padded axis."""
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
