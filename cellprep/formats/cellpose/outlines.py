"""Cellpose's text files of outlines: a line per cell, ``x,y,x,y,...`` of its rim pixels."""

import re

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs, runs_from_labels
from cellprep.errors import RLEError

_MOST_BOXES = 2**27  # pixels in the boxes of all cells together, or a multiple of the image's pixels:
_BOXES_A_PIXEL = 8


def read_outlines(content: bytes, shape: tuple[int, int]) -> Runs:
    """Fill outlines: a cell consists of its rim pixels and the enclosed pixels.

    Parameters
    ----------
    content
        The bytes of the file.
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If an outline is invalid or exceeds the image; the error names the first such line, from 0.

    Examples
    --------
    >>> read_outlines(b"0,0,2,0,2,2,0,2", (3, 4)).areas
    array([9])
    """
    outlines = [_outline(line, place, shape) for place, line in enumerate(content.rstrip().splitlines())]
    boxes = sum(int(np.prod(np.ptp(outline, axis=0) + 1)) for outline in outlines)
    if boxes > (most := max(_MOST_BOXES, _BOXES_A_PIXEL * shape[0] * shape[1])):
        raise RLEError(
            0, f"this and the other outlines have bounding boxes of {boxes:,} pixels in total: {most:,} at most"
        )
    parts = [_filled(outline, shape[1]) for outline in outlines]
    starts, lengths = np.concatenate([np.zeros((2, 0), np.int64), *parts], axis=1)
    offsets = np.concatenate(([0], np.cumsum([part.shape[1] for part in parts], dtype=np.int64)))
    return Runs(starts, lengths, offsets, shape, "row")


def _outline(line: bytes, place: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the corners (x, y) of a line."""
    if not re.fullmatch(rb"\s*\d{1,9}(,\d{1,9})+\s*", line):
        raise RLEError(place, "it is not an outline, which is x,y,x,y,... in whole pixels")
    numbers = np.array(line.split(b","), np.int64)
    if len(numbers) % 2:
        raise RLEError(place, f"it has {len(numbers)} numbers: it needs x and y of each pixel")
    corners = numbers.reshape(-1, 2)
    if (corners >= (shape[1], shape[0])).any():
        x, y = corners.max(axis=0).tolist()
        raise RLEError(place, f"it reaches x {x}, y {y}, outside its image, {shape[1]} x {shape[0]} (width x height)")
    return corners


def _filled(corners: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return starts and lengths of the runs inside an outline, including its rim: (2, r)."""
    import cv2

    left, top = corners.min(axis=0)
    columns, rows = np.ptp(corners, axis=0) + 1
    # An additional column keeps runs from continuing in the next row.
    mask = np.zeros((rows, columns + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (left, top)).astype(np.int32)], 1)
    runs, _ = runs_from_labels(mask)
    row, column = np.divmod(runs.starts, columns + 1)
    return np.stack([(row + top) * width + column + left, runs.lengths])
