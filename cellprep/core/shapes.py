"""Shapes of single annotations: components, holes, thin lines and straight cuts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs

_SQUARE = np.ones((2, 2), np.uint8)


@dataclass(frozen=True, slots=True)
class Cutout:
    """One annotation, cropped from its image with a margin of one pixel.

    Attributes
    ----------
    mask
        (h + 2, w + 2) uint8, 1 inside; the margin is empty.
    at_edge
        Whether it touches the top, bottom, left and right edge of the image.
    origin
        Row and column of the cutout's first pixel in the image, which may be -1.
    """

    mask: NDArray[np.uint8]
    at_edge: tuple[bool, bool, bool, bool]
    origin: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape measurements of one annotation.

    Attributes
    ----------
    pieces
        Number of 8-connected components.
    hole_pixels
        Number of enclosed pixels that are not part of it.
    thin_pixels
        Number of its pixels that are in no 2 x 2 square of it: lines one pixel wide.
    straight
        Length in pixels of the longest horizontal part of its outline.
    """

    pieces: int
    hole_pixels: int
    thin_pixels: int
    straight: int


def cutouts(runs: Runs) -> Iterator[Cutout]:
    """Crop each annotation in turn; only the margin remains if it has no pixels."""
    for piece in runs.pieces():
        yield from _cutouts(piece)


def _cutouts(runs: Runs) -> Iterator[Cutout]:
    height, width = runs.shape
    long, short = np.divmod(runs.positions(), width if runs.order == "row" else height)
    ys, xs = (long, short) if runs.order == "row" else (short, long)
    ends = np.cumsum(runs.areas).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        y, x = ys[start:end], xs[start:end]
        if end == start:
            yield Cutout(np.zeros((2, 2), np.uint8), (False, False, False, False))
            continue
        top, bottom, left, right = y.min(), y.max(), x.min(), x.max()
        mask = np.zeros((bottom - top + 3, right - left + 3), np.uint8)
        mask[y - top + 1, x - left + 1] = 1
        at_edge = (top == 0, bottom == height - 1, left == 0, right == width - 1)
        yield Cutout(mask, at_edge, (int(top) - 1, int(left) - 1))


def measure_shape(cutout: Cutout) -> Shape:
    """Measure one annotation. It is assumed to continue beyond the image's edge.

    Examples
    --------
    A ring of eight pixels around a hole, with a line of two pixels next to it:

    >>> from cellprep import encode_rle, parse_rle
    >>> mask = [[1, 1, 1, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]]
    >>> runs = parse_rle(encode_rle([np.pad(mask, 1)]), (6, 9))
    >>> [measure_shape(cutout) for cutout in cutouts(runs)]
    [Shape(pieces=1, hole_pixels=1, thin_pixels=10, straight=3)]
    """
    import cv2

    mask = cutout.mask
    pieces = cv2.connectedComponents(mask, connectivity=8)[0] - 1
    filled = mask.copy()
    cv2.floodFill(filled, None, (0, 0), 1, flags=4)  # from the outside
    beyond = _going_on(cutout)
    squares = cv2.dilate(cv2.erode(beyond, _SQUARE, anchor=(0, 0)), _SQUARE, anchor=(1, 1))
    thin = cv2.countNonZero(cv2.subtract(mask, squares))
    lower, upper = beyond[1:, 1:-1], beyond[:-1, 1:-1]
    straight = max(_longest_run(lower > upper), _longest_run(lower < upper))
    return Shape(pieces, filled.size - cv2.countNonZero(filled), thin, straight)


def _going_on(cutout: Cutout) -> NDArray[np.uint8]:
    """Return the mask, extended beyond the image's edge."""
    mask = cutout.mask.copy()
    top, bottom, left, right = cutout.at_edge
    if top:
        mask[0] = mask[1]
    if bottom:
        mask[-1] = mask[-2]
    if left:
        mask[:, 0] = mask[:, 1]
    if right:
        mask[:, -1] = mask[:, -2]
    return mask


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True within a row."""
    apart = np.pad(flags, ((0, 0), (1, 1))).ravel()  # so that no run continues in the next row
    changes = np.flatnonzero(apart[1:] != apart[:-1])
    return int((changes[1::2] - changes[0::2]).max(initial=0))
