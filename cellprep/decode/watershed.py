"""Seeds grown by watershed: the plainest decoder that keeps to the mask."""

import numpy as np

from cellprep.decode.components import Labels, components, keep_large
from cellprep.decode.maps import Maps

__all__ = ["grown_seeds"]

_SMALLEST = 20


def grown_seeds(maps: Maps) -> Labels:
    """Take the 8-connected pieces between walls that have at least 20 pixels, and grow them into the rest of the mask.

    The growth is scikit-image's watershed of a flat surface: a pixel goes to the seed that reaches it first.
    """
    from skimage.segmentation import watershed

    seeds = keep_large(components(maps.mask & ~maps.walls), _SMALLEST)
    grown: Labels = watershed(np.zeros(seeds.shape, np.uint8), seeds, mask=maps.mask, connectivity=2)
    return grown.astype(np.int32)
