"""Images reduced to 1/N of their size: one pixel for each block of N x N, or less at the lower and right edge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Largest N.
MOST_SHRINK = 8


def shrunk_shape(shape: tuple[int, int], by: int) -> tuple[int, int]:
    """Return (H, W) of an image of the given shape, reduced to 1/`by` of its size.

    Examples
    --------
    >>> shrunk_shape((7, 6), 3)
    (3, 2)
    """
    height, width = (-(-size // by) for size in shape)
    return height, width


def middles(size: int, by: int) -> NDArray[np.int64]:
    """Return the indices of the pixels along a side that represent their blocks: the middle one, or the later of two.

    Parameters
    ----------
    size
        Number of pixels along the side.
    by
        Number of pixels in a block.

    Examples
    --------
    >>> middles(7, 3), middles(7, 2)
    (array([1, 4, 6]), array([1, 3, 5, 6]))
    """
    starts = np.arange(0, size, by)
    places: NDArray[np.int64] = starts + np.minimum(by, size - starts) // 2
    return places


def shrink_pixels(pixels: NDArray[Any], by: int) -> NDArray[Any]:
    """Reduce an array, (H, W), to 1/`by` of its size by taking the middle pixel of each block."""
    height, width = pixels.shape
    return pixels[np.ix_(middles(height, by), middles(width, by))]


def shrink_image(image: NDArray[Any], by: int) -> NDArray[Any]:
    """Return the means of the blocks of an image, in the same dtype; halves are rounded up for integers.

    Parameters
    ----------
    image
        (..., H, W), of any real dtype.
    by
        Number of pixels along the side of a block.

    Examples
    --------
    >>> shrink_image(np.array([[1, 2, 9], [3, 5, 0], [7, 8, 6]], np.uint8), 2)
    array([[3, 5],
           [8, 6]], dtype=uint8)
    """
    is_exact = image.dtype.kind in "bui" and image.dtype.itemsize <= 4  # sums of 64 values fit into int64
    height, width = image.shape[-2:]
    total = np.zeros((*image.shape[:-2], *shrunk_shape((height, width), by)), np.int64 if is_exact else np.float64)
    for y in range(by):
        for x in range(by):
            part = image[..., y::by, x::by]  # without the last blocks, if these are too short
            total[..., : part.shape[-2], : part.shape[-1]] += part
    rows, columns = (np.minimum(by, size - np.arange(0, size, by)) for size in (height, width))
    pixels = rows[:, np.newaxis] * columns
    means: NDArray[Any] = (2 * total + pixels) // (2 * pixels) if is_exact else total / pixels
    if not is_exact and image.dtype.kind != "f":
        means = np.floor(means + 0.5)
    return means.astype(image.dtype)
