"""The original author's cut of the energy."""

import cv2
import numpy as np

from cellprep.decode.components import Labels, components, keep_large
from cellprep.decode.maps import Maps

__all__ = ["original"]

_LEVEL = 1
_SMALLEST = 20


def original(maps: Maps) -> Labels:
    """Cut above level 1, drop what has fewer than 20 pixels, fill holes, and dilate each piece by a square of 3.

    Walls and mask are not used, so that the dilation may leave the mask. Where dilated pieces meet, the one that rows
    meet later lies on top.
    """
    large = keep_large(components(maps.energy > _LEVEL), _SMALLEST) > 0
    outside = np.pad(~large, 1, constant_values=True).view(np.uint8)  # one piece around the image
    around = cv2.connectedComponents(outside, connectivity=4)[1]
    pieces = components((around != around[0, 0])[1:-1, 1:-1])
    dilated = cv2.dilate(pieces.astype(np.float32), np.ones((3, 3), np.uint8))
    return dilated.astype(np.int32)
