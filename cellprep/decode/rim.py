"""The rim of cells that a mask has lost: how wide it is, as the levels tell, and where it lies."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.decode.maps import Maps
from cellprep.targets.transforms import distance_transform

__all__ = ["lost_rim", "lost_width"]

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_WIDEST = 3  # pixels
_FEWEST = 20  # pixels that tell the level of a depth
_RISE = 2  # levels a pixel of depth, with the published bins and with those that are fitted by distances
_STEEPEST, _FLATTEST = 3, 1.2  # that are still taken for such
_LEAST = 0.65  # pixels to be sure of a loss; true masks under noise stay below 0.5
_ROUNDING = 0.6  # what is nearest to the width, as slanted rims lose less than straight ones


def lost_rim(maps: Maps) -> NDArray[np.bool_]:
    """Return the background that the levels say is cell: (H, W) bool."""
    width = lost_width(maps)
    if not width:
        return np.zeros(maps.mask.shape, bool)
    beyond = distance_transform((~maps.mask).view(np.uint8))
    rim: NDArray[np.bool_] = (beyond > 0) & (beyond <= width)
    return rim


def lost_width(maps: Maps) -> int:
    """Tell by how many pixels the mask is smaller than its cells: 0 to 3. A true mask is not.

    Beside background a cell has its lowest level, as it has beside walls, and from there it rises with the depth.
    Where the mask has lost its rim, its outermost pixels have a level of what lies deeper. How deep, only a rise as
    steep as that of the published bins tells. Without enough walls, the lowest level is taken to be 1.
    """
    rim = maps.mask & _beside(~maps.mask)
    if _level(maps.energy, rim) < 1 + _LEAST * _RISE:
        return 0
    first, second, third = (_level(maps.energy, where) for where in _depths(maps))
    lowest = maps.energy[maps.mask & ~maps.walls & _beside(maps.walls)]
    base = np.quantile(lowest, 0.25) if len(lowest) >= _FEWEST else 1  # noise puts false walls deep into cells
    lost = (first - base) / _RISE
    linear = all(_FLATTEST <= rise <= _STEEPEST for rise in (second - first, third - second))
    return min(int(lost + _ROUNDING), _WIDEST) if linear and lost >= _LEAST else 0


def _beside(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an area with the pixels that share an edge with it."""
    return cv2.dilate(area.view(np.uint8), _CROSS) > 0


def _depths(maps: Maps) -> list[NDArray[np.bool_]]:
    """Return the pixels whose nearest background is 1, 2 and 3 pixels away in a straight line, with no walls near."""
    depth = distance_transform(maps.mask.view(np.uint8), "cv2-exact")
    far = distance_transform((~maps.walls).view(np.uint8), "cv2-exact") > depth + _WIDEST + 1
    return [far & (np.abs(depth - pixels) < 0.01) for pixels in (1, 2, 3)]


def _level(energy: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Return the mean level of some pixels; 0 of few."""
    levels = energy[where]
    return float(levels.mean()) if len(levels) >= _FEWEST else 0.0
