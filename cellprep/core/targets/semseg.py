"""Semantic segmentation with walls between touching or overlapping cells."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Classes, Done


def semseg(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    """Return the channels cell without walls, wall, background: (H, W, 3) uint8; exactly one is 1 at each pixel.

    The original method places cells one after the other, dilates each and removes its rim from the cells below. A pixel
    removed in this way is within the rim of a cell of higher rank than its owner's. This is where a maximum filter of
    the ranks exceeds the rank: one filter instead of a dilation per cell, with the same result.
    """
    import cv2

    ranks = cells.ranks if cells.ranks.dtype == np.uint16 else cells.ranks.astype(np.float64)
    topmost = cv2.dilate(ranks, np.ones((recipe.wall_width, recipe.wall_width), np.uint8))
    owned = ranks > 0
    wall = owned & (topmost > ranks)
    channels = [channel.view(np.uint8) for channel in (owned & ~wall, wall, ~owned)]
    return cv2.merge(channels).astype(np.uint8, copy=False)


SEMSEG = Classes(
    name="semseg",
    compute=semseg,
    dtype="uint8",
    channels=3,
    classes=("cell", "wall", "background"),
    about="channels: cell without walls, wall, background; exactly one is 1",
    title="semseg",
    rule="walls",
    around=lambda recipe: recipe.wall_width // 2,
)
