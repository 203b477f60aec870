"""Discrete watershed energy: the distance sorted into bins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE, Cells
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Done, Levels

# OpenCV with Intel's library returns 0.95499998 for the 0.955 of the bins sartorius.
TOLERANCE = np.float32(1e-5)


def energy_levels(distance: NDArray[np.float32], bins: Sequence[float]) -> NDArray[np.uint8]:
    """Return the number of bins that each distance reaches.

    Parameters
    ----------
    distance
        (H, W), or any other shape with at least one axis, float32, in pixels.
    bins
        Ascending distances in pixels, at most 255. A distance that is at most 1e-5 below a bin reaches it.

    Returns
    -------
    ndarray
        uint8 of the shape of `distance`: 0 to ``len(bins)``.

    Examples
    --------
    >>> energy_levels(np.array([0, 0.95499998, 1, 99], np.float32), [0.955, 1.369])
    array([0, 1, 1, 2], dtype=uint8)
    """
    levels = np.zeros(distance.shape, np.uint8)
    for top in range(0, len(distance), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        reach, level = distance[rows] + TOLERANCE, levels[rows]
        reached = np.empty(reach.shape, np.bool_)
        for edge in np.asarray(bins, np.float32):
            np.greater_equal(reach, edge, out=reached)
            level += reached.view(np.uint8)
    return levels


def energy(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    """Return the energy target: (H, W) uint8, the level of each pixel's distance."""
    return energy_levels(done["distance"], recipe.bins)


ENERGY = Levels(
    name="energy",
    compute=energy,
    dtype="uint8",
    about="level: the number of the recipe's bins that the distance reaches",
    title="energy: level, and the distance it begins at",
    rule="levels of the distance",
    needs=("distance",),
)
