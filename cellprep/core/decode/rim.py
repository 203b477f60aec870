"""Masks that end elsewhere than their cells, by the levels: they have lost the rim, or go beyond it.

Beside background a cell has its lowest level, and from there it rises with the depth. How deep a pixel lies, only a
rise as steep as that of the bins `sartorius` tells; of others nothing is said. The lowest level is that beside walls,
and 1 without enough of these: the lowest bin is the smallest distance.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.maps import Maps
from cellprep.core.targets.transforms import distance_transform

#: Pixels of the widest rim that is given back.
WIDEST = 3

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_FEWEST = 20  # pixels that tell the level of a depth
_RISE = 2  # levels a pixel of depth, with the bins sartorius and with those that are fitted by distances
_STEEPEST, _FLATTEST = 3, 1.2  # that are still taken for such
_LEAST = 0.65  # pixels to be sure of a loss; true masks under noise stay below 0.5
_STRAIGHT = 0.955  # the chamfer's distance of a pixel straight ahead
_ROUNDING = 0.6  # what is nearest to the width, as slanted rims lose less than straight ones


def lost_rim(maps: Maps, widest: int = WIDEST) -> NDArray[np.bool_]:
    """Return the background that the levels say is cell: (H, W) bool; so many pixels wide at most."""
    width = min(lost_width(maps), widest)
    if not width:
        return np.zeros(maps.mask.shape, bool)
    beyond = distance_transform((~maps.mask).view(np.uint8))
    rim: NDArray[np.bool_] = (beyond > 0) & (beyond <= width)
    return rim


def lost_width(maps: Maps) -> int:
    """Return by how many pixels the mask is smaller than its cells: 0 to 3. A true mask is not."""
    if _level(maps.energy, _outermost(maps)) < 1 + _LEAST * _RISE:
        return 0
    depth = distance_transform(maps.mask.view(np.uint8))
    no_walls_near = distance_transform((~maps.walls).view(np.uint8)) > depth + WIDEST + 1
    first, rises = _profile(maps.energy, np.where(no_walls_near, depth, 0))
    lowest = maps.energy[maps.mask & ~maps.walls & _beside(maps.walls)]
    base = np.quantile(lowest, 0.25) if len(lowest) >= _FEWEST else 1  # noise puts false walls deep into cells
    lost = (first - base) / _RISE
    return min(int(lost + _ROUNDING), WIDEST) if rises and lost >= _LEAST else 0


def trust_level_0(maps: Maps) -> Maps:
    """Return the maps with all of level 0 taken for walls or for no cell, whatever its vectors, if its place says so.

    That is where most of the mask's outermost pixels have level 0, and the levels rise from where it ends as they do
    from a true rim.
    """
    if _level(maps.energy, _outermost(maps), of_few=1) >= 0.5:
        return maps
    first, rises = _profile(maps.energy, distance_transform((maps.energy > 0).view(np.uint8)))
    if not rises or first >= 1 + _LEAST * _RISE:
        return maps
    nothing = maps.mask & (maps.energy == 0)
    return replace(maps, walls=maps.walls | nothing, still=maps.still | nothing)


def _outermost(maps: Maps) -> NDArray[np.bool_]:
    return maps.mask & _beside(~maps.mask)


def _beside(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an area with the pixels that share an edge with it."""
    import cv2

    return cv2.dilate(area.view(np.uint8), _CROSS) > 0


def _profile(energy: NDArray[np.uint8], depth: NDArray[np.float32]) -> tuple[float, bool]:
    """Return the level at a depth of 1, straight ahead, and whether those at 2 and 3 rise as steeply as is known."""
    first, second, third = (_level(energy, np.abs(depth - pixels * _STRAIGHT) < 0.01) for pixels in (1, 2, 3))
    return first, all(_FLATTEST <= rise <= _STEEPEST for rise in (second - first, third - second))


def _level(energy: NDArray[np.uint8], where: NDArray[np.bool_], of_few: float = 0) -> float:
    """Return the mean level of some pixels."""
    levels = energy[where]
    return float(levels.mean()) if len(levels) >= _FEWEST else of_few
