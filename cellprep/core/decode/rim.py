"""Masks that are smaller or larger than their cells, as revealed by the levels.

At the background a cell has its lowest level, which rises with depth. The depth of a pixel can be told only from levels
that rise as steeply as those of the bins `sartorius`; masks with other bins are left unchanged. The lowest level is
measured next to walls. Without enough of these it is 1, as the lowest bin is the smallest distance.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.maps import Maps
from cellprep.core.targets.transforms import distance_transform

#: Width in pixels of the widest rim that is restored.
WIDEST = 3

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_FEWEST = 20  # smallest number of pixels from which a level is measured
_RISE = 2  # levels per pixel of depth, with the bins sartorius and with those that are fitted by distances
_STEEPEST, _FLATTEST = 3, 1.2  # range that is accepted
_LEAST = 0.65  # lost width, in pixels, that is certain; true masks with noise stay below 0.5
_STRAIGHT = 0.955  # chamfer distance of one pixel along an axis
_ROUNDING = 0.6  # compensates for slanted rims, which lose less than straight ones


def lost_rim(maps: Maps, widest: int = WIDEST) -> NDArray[np.bool_]:
    """Return background that belongs to cells according to the levels: (H, W) bool; at most `widest` pixels wide."""
    width = min(lost_width(maps), widest)
    if not width:
        return np.zeros(maps.mask.shape, bool)
    beyond = distance_transform((~maps.mask).view(np.uint8))
    rim: NDArray[np.bool_] = (beyond > 0) & (beyond <= width)
    return rim


def lost_width(maps: Maps) -> int:
    """Return by how many pixels the mask is smaller than its cells: 0 to 3, 0 for a true mask."""
    if _level(maps.energy, _outermost(maps)) < 1 + _LEAST * _RISE:
        return 0
    depth = distance_transform(maps.mask.view(np.uint8))
    no_walls_near = distance_transform((~maps.walls).view(np.uint8)) > depth + WIDEST + 1
    first, rises = _profile(maps.energy, np.where(no_walls_near, depth, 0))
    lowest = maps.energy[maps.mask & ~maps.walls & _beside(maps.walls)]
    base = np.quantile(lowest, 0.25) if len(lowest) >= _FEWEST else 1  # noise creates false walls deep inside cells
    lost = (first - base) / _RISE
    return min(int(lost + _ROUNDING), WIDEST) if rises and lost >= _LEAST else 0


def trust_level_0(maps: Maps) -> Maps:
    """Treat all pixels of level 0 as walls or background, regardless of vectors, if their position suggests it.

    This is the case if most of the mask's outermost pixels have level 0, and the levels rise from there as they do from
    a true rim.
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
    """Dilate an area by the pixels that share an edge with it."""
    import cv2

    return cv2.dilate(area.view(np.uint8), _CROSS) > 0


def _profile(energy: NDArray[np.uint8], depth: NDArray[np.float32]) -> tuple[float, bool]:
    """Return the level at a depth of 1 along an axis, and whether the levels at 2 and 3 rise as expected."""
    first, second, third = (_level(energy, np.abs(depth - pixels * _STRAIGHT) < 0.01) for pixels in (1, 2, 3))
    return first, all(_FLATTEST <= rise <= _STEEPEST for rise in (second - first, third - second))


def _level(energy: NDArray[np.uint8], where: NDArray[np.bool_], of_few: float = 0) -> float:
    """Return the mean level of the given pixels."""
    levels = energy[where]
    return float(levels.mean()) if len(levels) >= _FEWEST else of_few
