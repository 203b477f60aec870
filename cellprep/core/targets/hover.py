"""The maps of HoVer-Net: horizontal and vertical offset of each pixel from the centre of its cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.distance import boxes_with_rim
from cellprep.core.targets.family import Family
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values
from cellprep.core.tuning import option

#: Size in pixels of the smallest component for which HoVer-Net makes maps.
LEAST_PIXELS = 30


def hover_maps(labels: NDArray[Any], least: int = LEAST_PIXELS) -> NDArray[np.float32]:
    """Return the offsets from the centre of each cell, as HoVer-Net's ``gen_instance_hv_map`` does.

    Each 4-connected component of a cell is treated as a separate cell. Its centre is the mean of its pixels, rounded to
    a pixel, halves up; the pixel before it has offset 0. Negative offsets are divided by the lowest of the component,
    positive ones by the highest, so that they range from -1 to 1 on each side. (A component with one row or column has
    the value 1, one with two has 0 and 1.)

    HoVer-Net itself crops training patches from larger ones and computes maps on the larger ones. It makes no map, or a
    wrong one, of components whose first pixel is less than 2 pixels from the top or left edge of the larger patch. Here
    they are treated like all others.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    least
        Size in pixels of the smallest component; maps are 0 on smaller ones.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (horizontal, vertical), from -1 to 1; 0 on the background.

    Examples
    --------
    >>> hover_maps(np.array([[0, 1, 1, 1, 1, 1]]), least=1)[0, :, 0]
    array([ 0.        , -1.        ,  0.        ,  0.33333334,  0.6666667 ,
            1.        ], dtype=float32)
    """
    import cv2

    maps = np.zeros((*labels.shape, 2), np.float32)
    for number, (rows, columns) in boxes_with_rim(labels):
        own = labels[rows, columns] == number
        count, pieces, boxes, centres = cv2.connectedComponentsWithStats(own.view(np.uint8), connectivity=4)
        in_box = maps[rows, columns]
        found = zip(range(1, count), boxes[1:].tolist(), centres[1:].tolist(), strict=True)
        for piece, (left, top, width, height, pixels), (x, y) in found:
            if pixels >= least:
                box = slice(top, top + height), slice(left, left + width)
                part, here = in_box[box], pieces[box] == piece
                np.copyto(part[..., 0], _scaled_offsets(left, width, x), where=here)
                np.copyto(part[..., 1], _scaled_offsets(top, height, y)[:, None], where=here)
    return maps


def _scaled_offsets(first: int, count: int, mean: float) -> NDArray[np.float32]:
    """Return the offsets of lines from the one before the centre, scaled to the range -1 to 1."""
    offsets = np.arange(first + 1, first + 1 + count, dtype=np.float32) - np.float32(int(mean + 0.5))
    negative = offsets < 0
    offsets[negative] /= -offsets[0]
    offsets[~negative] /= offsets[-1]
    return offsets


def mask(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    """Return the mask of cells, (H, W) uint8: 1 or 0."""
    return (cells.labels > 0).astype(np.uint8)


def maps(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    """Return the maps of the cells, (H, W, 2) float32."""
    return hover_maps(cells.labels, recipe.of(HoVerNet).least)


MASK = Values(
    name="hover_mask",
    compute=mask,
    dtype="uint8",
    about="1 in cells, 0 on the background",
    title="HoVer-Net's mask",
    rule="pixels of cells",
)

MAPS = Values(
    name="hover_maps",
    compute=maps,
    dtype="float32",
    channels=lambda _: ("horizontal", "vertical"),
    about="horizontal and vertical offset from the centre of the cell, from -1 to 1 in each cell; 0 on the background",
    title="HoVer-Net's maps",
    rule="offsets from the centre",
    beyond=Beyond.CELLS,
    is_recomputed=True,
)


@dataclass(frozen=True, slots=True)
class HoVerNet(Family):
    """Offsets from the centre of each cell."""

    name = "hover"
    title = "HoVer-Net"
    about = (
        "A cell mask, and the horizontal and vertical offset of each pixel from the centre of its cell: the targets "
        "of HoVer-Net."
    )
    credit = "maps are after HoVer-Net by Graham, Vu et al., https://github.com/vqdang/hover_net"
    targets = (MASK, MAPS)

    least: int = option(LEAST_PIXELS, "minimum size of a component of a cell, in pixels; smaller ones have no maps", 0)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the cells, separated where the maps drop steeply."""
        from cellprep.core.decode.hover import hover_to_labels

        return hover_to_labels(arrays["hover_mask"], arrays["hover_maps"])
