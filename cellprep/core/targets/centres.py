"""Centres of cells, and the way there from each of their pixels: what Panoptic-DeepLab learns.

The rules are those of its `PanopticTargetGenerator` (Cheng et al., CVPR 2020), of instances of one class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.objects import Objects

SIGMA = 8  # pixels


def centre_heat(labels: NDArray[Any], sigma: int = SIGMA) -> NDArray[np.float32]:
    """Return a hill at the centre of each cell.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    sigma
        Standard deviation of the hills, in pixels.

    Returns
    -------
    ndarray
        (H, W) float32: a Gaussian of height 1 within ``3 * sigma + 1`` pixels of the centre along each axis, and 0 farther
        away; where several meet, the highest. The centre is the mean of the cell's pixels, rounded down.

    Examples
    --------
    >>> centre_heat(np.array([[5, 5, 5, 5, 0, 0]]), sigma=1).round(2)
    array([[0.61, 1.  , 0.61, 0.14, 0.01, 0.  ]], dtype=float32)
    """
    reach = 3 * sigma + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    hill = np.exp(-(x**2 + y**2) / (2 * sigma**2)).astype(np.float32)
    # The image is padded, so that hills may go beyond it.
    height, width = labels.shape
    heat = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    for top, left in Objects.of(labels).centres.astype(np.int64).tolist():
        part = heat[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        np.maximum(part, hill, out=part)
    return np.ascontiguousarray(heat[reach : reach + height, reach : reach + width])


def centre_offsets(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the way from each pixel to the centre of its cell.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x) in pixels, to the mean of the cell's pixels; 0 in the background.

    Examples
    --------
    >>> centre_offsets(np.array([[5, 5, 5, 5, 0, 0]]))[0, :, 1]
    array([ 1.5,  0.5, -0.5, -1.5,  0. ,  0. ], dtype=float32)
    """
    objects = Objects.of(labels)
    result = np.zeros((labels.size, 2), np.float32)
    if len(objects):
        places = np.stack([objects.rows, objects.columns], axis=1)
        result[objects.pixels] = objects.spread(objects.centres) - places
    return result.reshape(*labels.shape, 2)
