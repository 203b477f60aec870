"""Whole cells of a part of an image: what is measured at once."""

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
    """Some cells of an image, and a part of it that holds all of them, with a margin of a pixel.

    Attributes
    ----------
    labels
        (h, w) the labels of that part, which may hold parts of other cells; 0 = background.
    origin
        Row and column in the image of its first pixel.
    numbers
        (n,) ascending: the labels of the cells.
    boxes
        (n, 4) int64: first row, first column, end of the rows, end of the columns of each, in the image.
    pixels
        (C, h, w): the image in that part; None without one.
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
        """Yield each cell, cut out."""
        down, across = self.origin
        for number, box in zip(self.numbers.tolist(), self.boxes.tolist(), strict=True):
            top, left, bottom, right = box
            window = slice(top - down, bottom - down), slice(left - across, right - across)
            pixels = None if self.pixels is None else self.pixels[:, *window]
            yield Cell(self.labels[window] == number, (top, left, bottom, right), pixels)

    def places(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Return the place among the cells of each of some labels; n for those of none of them."""
        found = np.searchsorted(self.numbers, labels)
        known = np.append(self.numbers, -1)
        return np.where(known[found] == labels, found, len(self.numbers))


def around(boxes: NDArray[np.int64], halo: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the window that holds all boxes, (n, 4), and so many pixels around them, within the image."""
    top, left = (boxes[:, :2].min(axis=0) - halo).clip(0).tolist()
    bottom, right = np.minimum(boxes[:, 2:].max(axis=0) + halo, shape).tolist()
    return slice(top, bottom), slice(left, right)
