"""Seeds: what is left of the mask without walls."""

from cellprep.decode.components import Labels, components
from cellprep.decode.maps import Maps

__all__ = ["find_seeds"]


def find_seeds(maps: Maps) -> Labels:
    """Return the 8-connected pieces of the mask between walls: (H, W) int32, 0 elsewhere."""
    return components(maps.mask & ~maps.walls)
