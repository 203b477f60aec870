"""The distance transform of the cells, in pixels: for all cells together, or for each separately.

For all cells together it is computed after resolving overlaps: distances of single cells, pasted together, would ignore
the border where another cell covers them. For each cell separately it also uses the pixels that the cell owns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values
from cellprep.core.targets.transforms import distance_transform

# The same distances, without computing the medial axis of every instance.
_THE_SAME_SOONER = {"skimage": "scipy"}


def distance(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    """Return the distance target: (H, W) float32, in pixels, of ``semseg[..., 0]`` or of each instance.

    With the background as a cell, pixels outside ``semseg[..., 0]`` have their distance to it. In the mode for each
    instance, pixels without an owner are one more instance.
    """
    if recipe.per_instance:
        return distance_of_each(cells.ranks, recipe.distance, background=recipe.background_cell)
    inside = done["semseg"][..., 0]
    result = distance_transform(inside, recipe.distance)
    if recipe.background_cell:
        result = np.where(inside == 1, result, distance_transform(1 - inside, recipe.distance))
    return result


def distance_of_each(instances: NDArray[Any], method: str, *, background: bool = False) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest pixel of another instance, (H, W); instances from 1, 0 is background.

    Instances are cropped with a rim of one pixel around their bounding boxes, as the way to any pixel farther away
    crosses this rim. There is no rim at the image's edge, as nothing is beyond. Distances of the background are 0
    unless requested.
    """
    method = _THE_SAME_SOONER.get(method, method)
    result = np.zeros(instances.shape, np.float32)
    for number, box in boxes_with_rim(instances, background):
        own = instances[box] == number
        np.copyto(result[box], distance_transform(own.view(np.uint8), method), where=own)
    return result


def boxes_with_rim(instances: NDArray[Any], background: bool = False) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the number and the bounding box, with a rim of one pixel, of each instance that has pixels."""
    from scipy.ndimage import find_objects

    height, width = instances.shape
    if background:
        yield 0, (slice(0, height), slice(0, width))
    for number, box in enumerate(find_objects(instances), start=1):
        if box is not None:
            rows, columns = box
            yield (
                number,
                (
                    slice(max(rows.start - 1, 0), min(rows.stop + 1, height)),
                    slice(max(columns.start - 1, 0), min(columns.stop + 1, width)),
                ),
            )


DISTANCE = Values(
    name="distance",
    compute=distance,
    dtype="float32",
    about="distance of `semseg[..., 0]` to the nearest pixel outside it, in pixels; 0 outside; with `--per-instance`, "
    "distance to the nearest pixel outside the cell",
    title="distance in pixels",
    rule="distances to the border",
    needs=("semseg",),
    beyond=Beyond.DISTANCE,
    tolerance=1e-3,
    is_sampled=False,
)
