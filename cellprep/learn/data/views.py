"""Views of an image through a warp: windows of pixels that show parts of the image, or of its mirror image."""

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
    """The view of an image in a sample; beyond its border, the image continues as its own mirror image.

    Attributes
    ----------
    shape
        (H, W) of the image.
    warp
        The movement of the image.
    place
        The point of the sample that shows a given point of the image.
    """

    shape: tuple[int, int]
    warp: Warp
    place: Placement

    def window(self, rows: Span, columns: Span) -> "Window":
        """Return a window of the sample; its rows and columns start at multiples of `GRID`."""
        there = self.warp.map(self.place, rows, columns)
        bounds = self.warp.bounds(self.place, rows, columns)
        real = None
        if not all(span.within(size) for span, size in zip(bounds, self.shape, strict=True)):
            real = _between(there[0], self.shape[0]) & _between(there[1], self.shape[1])
        there -= np.array([[[span.start]] for span in bounds], np.float32)
        return Window(*bounds, there, real)


@dataclass(frozen=True)
class Window:
    """A window of a sample.

    Attributes
    ----------
    rows, columns
        The region that its pixels are made of, in the image and beyond its border.
    there
        (2, h, w) float32: y and x in this region of the point that each pixel shows.
    real
        (h, w) bool: True for pixels that show the image, not its mirror image; None if all do.
    """

    rows: Span
    columns: Span
    there: NDArray[np.float32]
    real: NDArray[np.bool_] | None

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Cut the region out of an image (H, W)."""
        return cut(array, self.rows, self.columns)

    def show(self, region: NDArray[Any], interpolation: int) -> NDArray[Any]:
        """Return the pixels of the window, interpolated from a region.

        Parameters
        ----------
        region
            From `cut`, (h', w'): of any dtype that OpenCV's ``remap`` takes, or uint32 with ``INTER_NEAREST``.
        interpolation
            Interpolation flag of ``remap``.
        """
        region = np.ascontiguousarray(region)
        taken = region.view(np.int32) if region.dtype == np.uint32 else region  # remap copies the bits unchanged
        shown = cv2.remap(taken, *self._maps, interpolation)  # the region is large enough that no border is needed
        return shown.view(region.dtype)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.ascontiguousarray(self.there[1]), np.ascontiguousarray(self.there[0])

    def box(self) -> tuple[Span, Span]:
        """Return the rows and columns of the window that contain all its real pixels; all if no pixel is real."""
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
