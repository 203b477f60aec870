"""Which images an epoch shows, and in which order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["crops_of", "draw_images"]


def crops_of(shapes: Sequence[tuple[int, int]], crop: int) -> NDArray[np.float64]:
    """Return how many crops are in each image: its area in crops, but at least one.

    Parameters
    ----------
    shapes
        (H, W) of each image.
    crop
        Side of a crop, in pixels.

    Examples
    --------
    >>> crops_of([(256, 256), (1024, 1024), (100, 256)], 256)
    array([ 1., 16.,  1.])
    """
    return np.array([max(1.0, height * width / crop**2) for height, width in shapes])


def draw_images(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw images in proportion to their weights, each as evenly as whole numbers allow.

    Parameters
    ----------
    weights
        (n,): of each image.
    count
        How many to draw.
    rng
        Where the random numbers come from.

    Returns
    -------
    ndarray
        (count,) indices of images, in random order. How often an image is drawn differs by less than one from
        its share.

    Examples
    --------
    >>> np.bincount(draw_images(np.array([1, 2, 1.5]), 9, np.random.default_rng(0)))
    array([2, 4, 3])
    """
    ends = np.cumsum(weights) / np.sum(weights) * count
    drawn = np.searchsorted(ends, np.arange(count) + rng.random(), side="right")
    images: NDArray[np.intp] = rng.permutation(np.minimum(drawn, len(weights) - 1))
    return images
