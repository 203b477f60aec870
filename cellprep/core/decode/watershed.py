"""Seeds grown by watershed: the simplest decoder that respects the mask."""

from dataclasses import dataclass

import numpy as np

from cellprep.core.decode.components import Labels, components, keep_large
from cellprep.core.decode.decoder import Decoder
from cellprep.core.decode.maps import Maps
from cellprep.core.tuning import option


@dataclass(frozen=True, slots=True)
class Watershed(Decoder):
    """Take the 8-connected components between walls that are large enough, and grow them into the rest of the mask.

    They grow by scikit-image's watershed on a flat surface: each pixel is assigned to the seed that reaches it first.
    """

    min_seed: int = option(20, "minimum size of a seed between walls, in pixels", 0, tried=(10, 20, 40))

    def __call__(self, maps: Maps) -> Labels:
        """Decode."""
        from skimage.segmentation import watershed

        seeds = keep_large(components(maps.mask & ~maps.walls), self.min_seed)
        grown: Labels = watershed(np.zeros(seeds.shape, np.uint8), seeds, mask=maps.mask, connectivity=2)
        return grown.astype(np.int32)
