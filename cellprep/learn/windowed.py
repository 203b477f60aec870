"""Arrays of huge images that are read in windows, as samples and tiles need them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError
from cellprep.store import StoredImage
from cellprep.text.wording import printable


@dataclass(frozen=True, slots=True)
class WindowedArray:
    """An array in a store with the array interface that samples and tiles need: shape, windows and channels.

    Attributes
    ----------
    image
        The image that it belongs to.
    name
        Its name.
    shape
        Its shape; for ``image`` always (C, H, W).
    channel
        Index of the channel if it is a single channel of the image; its shape is then (H, W).
    """

    image: StoredImage
    name: str
    shape: tuple[int, ...]
    channel: int | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator["WindowedArray"]:
        for channel in range(len(self)):
            yield WindowedArray(self.image, self.name, self.shape[1:], channel)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.image.form(self.name)[1]

    def __getitem__(self, window: tuple[Any, ...]) -> NDArray[Any]:
        """Read rows and columns, the last two indices, which an Ellipsis may precede."""
        *_, rows, columns = window
        part = self.image.read(self.name, (rows, columns))
        if self.name != "image":
            return part
        part = checked(self.image, part)
        if self.channel is None:
            return np.broadcast_to(part, (*self.shape[:-2], *part.shape[-2:]))
        return part if part.ndim == 2 else part[self.channel]

    @classmethod
    def of_pixels(cls, image: StoredImage) -> Self:
        """Return the image itself, as (C, H, W)."""
        shape, _ = image.form("image")
        return cls(image, "image", shape if len(shape) == 3 else (1, *shape))

    def with_channels(self, channels: int) -> Self:
        """Return an image with one channel as one with several equal channels."""
        return replace(self, shape=(channels, *self.shape[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :].reshape(self.shape), dtype)


def parts(array: Any) -> Iterator[NDArray[Any]]:
    """Yield a whole array, or successive bands of rows of a `WindowedArray`."""
    if isinstance(array, WindowedArray):
        yield from (array[band] for band in array.image.bands())
    else:
        yield array


def checked(image: StoredImage, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels of an image after checking that they are finite.

    Raises
    ------
    StoreError
        If a pixel is not finite.
    """
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise StoreError(f"image {printable(image.id)}: some intensities are NaN or infinite")
    return pixels
