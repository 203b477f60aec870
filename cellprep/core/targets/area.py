"""The area of the cell that each pixel belongs to: the losses weigh small cells up with it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, look_up
from cellprep.core.targets.recipe import Recipe


def area(cells: Cells, done: Mapping[str, NDArray[Any]], recipe: Recipe) -> NDArray[np.float32]:
    """Return the area target: (H, W) float32, in pixels.

    It is the area, before overlaps, of the annotation that owns the pixel; where nobody does, the number of
    such pixels.
    """
    nobodys = np.count_nonzero(cells.labels == 0)
    return look_up(np.concatenate(([nobodys], cells.areas)).astype(np.float32), cells.labels)
