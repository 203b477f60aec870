"""The view of an image in a picture: the whole image or a part, with all pixels or every n-th."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.colours import grey_levels, grey_limits
from cellprep.errors import UsageError
from cellprep.store import StoredImage
from cellprep.text.wording import printable

_MOST_PIXELS = 1500  # along each side of a panel
_PARTS, _PART = 5, 512  # number of parts along each side of a huge image, and the side of a part in pixels


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image, in pixels.

    Attributes
    ----------
    top, left, height, width
        Position of its first pixel, and its size.
    """

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def parse(cls, given: str | Sequence[int]) -> "Crop":
        """Parse ``y,x,h,w``, or take four numbers.

        Raises
        ------
        UsageError
            If they are not four integers, or cannot be a part of an image.

        Examples
        --------
        >>> Crop.parse("100,200,64,96")
        Crop(top=100, left=200, height=64, width=96)
        """
        try:
            top, left, height, width = map(int, given.split(",") if isinstance(given, str) else given)
        except (TypeError, ValueError):
            raise UsageError(f"crop {given!r:.60} is invalid: give y,x,h,w, such as 100,200,64,96") from None
        if min(top, left) < 0 or min(height, width) < 1:
            raise UsageError(f"crop {given!r} is invalid: y and x are at least 0, h and w at least 1")
        return cls(top, left, height, width)


@dataclass(frozen=True)
class View:
    """The view of an image in a picture.

    Attributes
    ----------
    image
        An image of a store.
    crop
        The part to show; by default the whole image.

    Raises
    ------
    UsageError
        If the crop extends beyond the image.
    """

    image: StoredImage
    crop: Crop | None = None

    def __post_init__(self) -> None:
        height, width = self.image.shape
        crop = self.crop
        if crop and (crop.top + crop.height > height or crop.left + crop.width > width):
            raise UsageError(
                f"crop {crop.top},{crop.left},{crop.height},{crop.width} extends beyond image "
                f"{printable(self.image.id)}, which is {height} x {width} (height x width)"
            )

    @property
    def top(self) -> int:
        """The first visible row."""
        return self.crop.top if self.crop else 0

    @property
    def left(self) -> int:
        """The first visible column."""
        return self.crop.left if self.crop else 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.crop.height, self.crop.width) if self.crop else self.image.shape

    @property
    def step(self) -> int:
        """The number of pixels from one visible pixel to the next."""
        return -(-max(self.shape) // _MOST_PIXELS)

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in micrometres, if known."""
        return self.image.metadata.pixel_size

    @property
    def bins(self) -> list[float]:
        """The distances at which levels 1, 2, ... begin."""
        return list(self.image.recipe.bins)

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The visible labels."""
        return self.target("labels")

    @property
    def grey(self) -> NDArray[np.float64] | None:
        """The visible pixels in grey levels of the whole image; None if there is no image.

        The levels of a huge image are those of evenly spaced parts.
        """
        if "image" not in self.image.arrays:
            return None
        return grey_levels(self._seen("image"), self._grey_limits())

    def _grey_limits(self) -> tuple[float, float]:
        if not self.image.is_huge:
            return grey_limits(self.image.read("image"))
        begins = [np.linspace(0, max(0, size - _PART), _PARTS).astype(int).tolist() for size in self.image.shape]
        corners = product(*begins)
        parts = (self.image.read("image", (slice(y, y + _PART), slice(x, x + _PART))) for y, x in corners)
        return grey_limits(np.concatenate([part.reshape(*part.shape[:-2], 1, -1) for part in parts], axis=-1))

    @property
    def ignored(self) -> NDArray[Any] | None:
        """The visible part of the regions to ignore; None if there are none."""
        return self.target("ignore") if "ignore" in self.image.arrays else None

    def target(self, name: str) -> NDArray[Any]:
        """Return the visible part of an array, (H, W) or (H, W, C)."""
        return self._seen(name)

    def _seen(self, name: str) -> NDArray[Any]:
        """Return every n-th row and column; a huge image is read in bands of rows."""
        columns = slice(self.left, self.left + self.shape[1])
        seen = slice(self.top, self.top + self.shape[0])
        each = slice(None, None, self.step)
        parts = []
        for band, _ in self.image.bands():
            first = max(band.start, seen.start)
            first += (seen.start - first) % self.step
            part = self.image.read(name, (slice(first, min(band.stop, seen.stop)), columns))
            every = (..., each, each) if name == "image" else (each, each)
            parts.append(part[every].copy())  # a view would keep the whole band
        return np.concatenate(parts, axis=-2 if name == "image" else 0)
