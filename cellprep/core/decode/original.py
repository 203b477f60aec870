"""The decoder of the original author: a cut of the energy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components, keep_large
from cellprep.core.decode.decoder import Decoder
from cellprep.core.decode.maps import Maps
from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.core.tuning import option


@dataclass(frozen=True, slots=True)
class Original(Decoder):
    """Cut above a level, remove small components, fill small holes, and dilate each component; later ones lie on top.

    The result equals that of the author's code, pixel for pixel. Small components and holes are 4-connected, so that a
    speck that touches a cell only at a corner is removed, and background at the image's edge can be a hole. The
    components to dilate are 8-connected. Walls are not used, and the dilation may extend beyond the mask. An image
    without any background results in no cells, as the author's code takes the lowest value to be the background.
    """

    level: int = option(1, "level of the cut; pixels up to this level are removed", 0, 254, tried=(1, 2, 3))
    min_size: int = option(
        20,
        "minimum size of a component, in pixels; smaller ones are dropped before the dilation",
        0,
        tried=(10, 20, 40),
    )
    min_hole: int = option(64, "minimum size of a hole, in pixels; smaller ones are filled", 0)
    dilation: int = option(
        3, "side of the square that dilates each component, in pixels; 1 for none", 1, 99, odd=True, tried=(1, 3, 5)
    )

    def __call__(self, maps: Maps) -> Labels:
        """Decode. Of the mask only the zeros of the energy outside it are used."""
        import cv2

        cells = _without_small(maps.energy > self.level, self.min_size)
        cells = ~_without_small(~cells, self.min_hole)
        if cells.all():
            return np.zeros(cells.shape, np.int32)
        pieces = number_in_raster_order(components(cells)).astype(np.float64)  # OpenCV cannot dilate 32-bit integers
        return cv2.dilate(pieces, np.ones((self.dilation, self.dilation), np.uint8)).astype(np.int32)


def _without_small(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    large: NDArray[np.bool_] = keep_large(components(mask, connectivity=4), least) > 0
    return large
