"""A part of an image with whole cells, which are measured together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.measures.cell import Cell
from cellprep.core.windows import Window

Read = Callable[[Window], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Region:
    """Cells of an image, with a part of the image that contains all of them and a margin of one pixel.

    Attributes
    ----------
    labels
        (h, w) labels of that part, which may include parts of other cells; 0 = background.
    origin
        Row and column of its first pixel in the image.
    numbers
        (n,) labels of the cells, ascending.
    boxes
        (n, 4) int64: first row, first column, end row, end column of each cell, in the image.
    pixels
        (C, h, w): the image in that part; None without an image.
    shape
        (H, W) of the whole image.
    read
        Returns the labels in a window of the image.
    """

    labels: NDArray[Any]
    origin: tuple[int, int]
    numbers: NDArray[np.int64]
    boxes: NDArray[np.int64]
    pixels: NDArray[Any] | None
    shape: tuple[int, int]
    read: Read

    def cells(self) -> Iterator[Cell]:
        """Yield each cell, cropped."""
        down, across = self.origin
        for number, box in zip(self.numbers.tolist(), self.boxes.tolist(), strict=True):
            top, left, bottom, right = box
            window = slice(top - down, bottom - down), slice(left - across, right - across)
            pixels = None if self.pixels is None else self.pixels[:, *window]
            yield Cell(self.labels[window] == number, (top, left, bottom, right), pixels)

    def places(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Return the index of the cell of each label; n for labels of other cells."""
        found = np.searchsorted(self.numbers, labels)
        known = np.append(self.numbers, -1)
        return np.where(known[found] == labels, found, len(self.numbers))


def around(boxes: NDArray[np.int64], halo: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the window that contains all boxes, (n, 4), with a halo in pixels, clipped to the image."""
    top, left = (boxes[:, :2].min(axis=0) - halo).clip(0).tolist()
    bottom, right = np.minimum(boxes[:, 2:].max(axis=0) + halo, shape).tolist()
    return slice(top, bottom), slice(left, right)
