"""Seeds: the mask without walls, cut by level where the energy shows that a wall is missing."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components, keep_large
from cellprep.core.decode.growing import grow
from cellprep.core.decode.maps import Maps
from cellprep.core.targets.transforms import distance_transform

_BINS_PER_PIXEL = 100  # separates distances on a pixel grid that separate levels 0 to 2
_SMALLEST_PIECE = 20


def find_seeds(maps: Maps) -> Labels:
    """Return the 8-connected components of the mask between walls: (H, W) int32, 0 elsewhere.

    A component with contradictions lacks walls, and is cut above level 1, as the original author does. If parts of at
    least 20 pixels remain, these are the seeds. Each is extended to the nearest pixels of the component, as order and
    joins need seeds that touch the walls.
    """
    cells = maps.mask & ~maps.walls
    pieces = components(cells)
    wrong = contradictions(maps.energy, cells)
    if not wrong.any():
        return pieces
    doubtful = np.zeros(int(pieces.max()) + 1, bool)
    doubtful[pieces[wrong]] = True
    parts = keep_large(components(doubtful[pieces] & (maps.energy > 1)), _SMALLEST_PIECE)
    replaced = np.zeros_like(doubtful)
    replaced[pieces[parts > 0]] = True
    seeds = np.where(replaced[pieces], 0, pieces)
    seeds[parts > 0] = parts[parts > 0] + len(doubtful)
    return grow(seeds, cells)


def contradictions(energy: NDArray[np.uint8], cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find pixels of levels 0 and 1 that should have a higher level. True maps have none.

    The energy follows from the distance to walls and background, so that pixels at the same distance have the same
    level. Pixels next to a missing wall are farther from the remaining walls than their level says.

    Parameters
    ----------
    energy
        (H, W) uint8 levels.
    cells
        (H, W) bool: the cells without the known walls.

    Returns
    -------
    ndarray
        (H, W) bool: pixels whose level is lower than that of most pixels at their distance.
    """
    if not cells.any() or cells.all():
        return np.zeros(cells.shape, bool)
    bins = (distance_transform(cells.view(np.uint8)) * _BINS_PER_PIXEL + 0.5).astype(np.int64)
    levels = np.minimum(energy, 2)
    counts = np.bincount((bins * 3 + levels)[cells], minlength=3 * (int(bins.max()) + 1)).reshape(-1, 3)
    usual = counts.argmax(axis=1).astype(np.uint8)
    wrong: NDArray[np.bool_] = cells & (levels < 2) & (levels < usual[bins])
    return wrong
