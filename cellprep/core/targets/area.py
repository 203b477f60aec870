"""The area of the cell that each pixel belongs to: losses use it to increase the weight of small cells."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, look_up
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Done, Values


def area(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    """Return the area target: (H, W) float32, in pixels.

    It is the area, before overlaps are resolved, of the annotation that owns the pixel. For pixels without an owner it
    is their number.
    """
    return look_up(np.append(np.array([cells.image.nobodys]), cells.areas).astype(np.float32), cells.labels)


AREA = Values(
    name="area",
    compute=area,
    dtype="float32",
    about="area of the owner k of the pixel, `cells[k - 1, 1]`; for pixels without an owner, the number of such pixels",
    title="area in pixels, of cells",
    rule="areas of owners",
    is_logarithmic=True,
)
