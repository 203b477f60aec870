"""Unit vectors that point from the nearest border into the cell: what the direction network learns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.labels import Cells
from cellprep.targets.recipe import Recipe

__all__ = ["unit_gradient", "uvec"]

_ROUNDING_NOISE = 1e-4  # on a ridge it would become a vector of full length


def unit_gradient(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the gradient of a distance transform, scaled to unit length.

    Parameters
    ----------
    distance
        (H, W) float32, in pixels.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x); 0 where the gradient is 0. Differences are one-sided at the
        image's edge, and 0 along an axis of one pixel.

    Examples
    --------
    >>> unit_gradient(np.array([[0, 1, 2], [0, 1, 2]], np.float32))[..., 1]
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    """
    gradient = np.zeros((*distance.shape, 2), np.float32)
    for axis in (0, 1):
        if distance.shape[axis] > 1:
            gradient[..., axis] = np.gradient(distance, axis=axis)
    gradient[np.abs(gradient) < _ROUNDING_NOISE] = 0
    norm = np.sqrt(gradient[..., 0] ** 2 + gradient[..., 1] ** 2)[..., np.newaxis]
    np.divide(gradient, norm, out=gradient, where=norm > 0)
    return gradient


def uvec(cells: Cells, done: Mapping[str, NDArray[Any]], recipe: Recipe) -> NDArray[np.float32]:
    """Return the vector target: (H, W, 2) float32, components (y, x), of length 1 or 0.

    0 on the background; walls keep their gradient. With the background as a cell, the vectors of
    ``semseg[..., 0]`` and of all the rest are computed apart, and none is set to 0.
    """
    if not recipe.background_cell:
        vectors = unit_gradient(done["distance"])
        vectors[done["semseg"][..., 2] == 1] = 0
        return vectors
    inside = done["semseg"][..., 0] == 1
    of_cells = unit_gradient(np.where(inside, done["distance"], np.float32(0)))
    of_rest = unit_gradient(np.where(inside, np.float32(0), done["distance"]))
    return np.where(inside[..., np.newaxis], of_cells, of_rest)
