"""Looking at an image through a warp: windows of pixels that show some place of it, or of its mirror image."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.learn.data.warp import Placement, Warp
from cellprep.learn.data.windows import Span, cut


@dataclass(frozen=True, slots=True)
class View:
    """How a sample shows an image, which goes on beyond its border as its own mirror image.

    Attributes
    ----------
    shape
        (H, W) of the image.
    warp
        How it is moved.
    place
        Which point of the sample shows which point of the image.
    """

    shape: tuple[int, int]
    warp: Warp
    place: Placement

    def window(self, rows: Span, columns: Span) -> "Window":
        """Return a window of the sample; rows and columns each begin at a multiple of `GRID`."""
        there = self.warp.map(self.place, rows, columns)
        bounds = self.warp.bounds(self.place, rows, columns)
        real = None
        if not all(span.within(size) for span, size in zip(bounds, self.shape, strict=True)):
            real = _between(there[0], self.shape[0]) & _between(there[1], self.shape[1])
        there -= np.array([[[span.start]] for span in bounds], np.float32)
        return Window(*bounds, there, real)


@dataclass(frozen=True)
class Window:
    """Some pixels of a sample.

    Attributes
    ----------
    rows, columns
        The region that they are made of, of the image and what is beyond its border.
    there
        (2, h, w) float32: y and x in this region that each pixel shows.
    real
        (h, w) bool: which of them show a pixel of the image, not of its mirror image; None if all do.
    """

    rows: Span
    columns: Span
    there: NDArray[np.float32]
    real: NDArray[np.bool_] | None

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Cut the region out of an image (H, W)."""
        return cut(array, self.rows, self.columns)

    def show(self, region: NDArray[Any], interpolation: int) -> NDArray[Any]:
        """Return what the pixels show of a region.

        Parameters
        ----------
        region
            From `cut`, (h', w'): of any dtype that OpenCV's ``remap`` takes, or uint32 with ``INTER_NEAREST``.
        interpolation
            As ``remap`` takes it.
        """
        region = np.ascontiguousarray(region)
        taken = region.view(np.int32) if region.dtype == np.uint32 else region  # which copies it as it is
        shown = cv2.remap(taken, *self._maps, interpolation)  # the region is large enough to need no border
        return shown.view(region.dtype)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.ascontiguousarray(self.there[1]), np.ascontiguousarray(self.there[0])

    def box(self) -> tuple[Span, Span]:
        """Return the rows and columns of the window that hold all its real pixels; all of them if none is real."""
        if self.real is None or not self.real.any():
            return self.all
        rows, columns = (np.flatnonzero(self.real.any(axis=axis)) for axis in (1, 0))
        return Span(int(rows[0]), int(rows[-1]) + 1), Span(int(columns[0]), int(columns[-1]) + 1)

    @property
    def all(self) -> tuple[Span, Span]:
        """All rows and columns of the window."""
        _, height, width = self.there.shape
        return Span(0, height), Span(0, width)


def _between(places: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    return (places >= -0.5) & (places <= size - 0.5)
