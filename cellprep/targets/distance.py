"""The distance transform of the cells, in pixels, over the whole image at once.

It is computed when all borders are in place: pasting the distances of single cells would leave those of a cell
unchanged where another one covers it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.labels import Cells
from cellprep.targets.recipe import Recipe
from cellprep.targets.transforms import distance_transform

__all__ = ["distance"]


def distance(cells: Cells, done: Mapping[str, NDArray[Any]], recipe: Recipe) -> NDArray[np.float32]:
    """Return the distance target: (H, W) float32, in pixels, of ``semseg[..., 0]``.

    With the background as a cell, pixels outside ``semseg[..., 0]`` have their distance to it.
    """
    inside = done["semseg"][..., 0]
    result = distance_transform(inside, recipe.distance)
    if recipe.background_cell:
        result = np.where(inside == 1, result, distance_transform(1 - inside, recipe.distance))
    return result
