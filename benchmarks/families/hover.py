"""HoVer-Net's maps compared with its own implementation.

HoVer-Net is not a package. `peer` reimplements ``gen_instance_hv_map``, ``fix_mirror_padding`` and ``get_bounding_box``
of https://github.com/vqdang/hover_net (MIT, (c) 2018 vqdang) step by step: the image is padded, so that no cell is at
its edge, and is searched once for each cell. Its ``remove_small_objects`` is scikit-image's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.hover import LEAST_PIXELS, hover_maps

PACKAGE = None
_RIM = 2  # pixels around the box of a cell


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"hover_maps": hover_maps(labels)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as HoVer-Net makes them for its own training."""
    cells = _apart(np.pad(labels.astype(np.int32), _RIM))
    numbers, pixels = np.unique(cells, return_counts=True)
    maps = np.zeros((2, *cells.shape), np.float32)
    for number in numbers[(numbers > 0) & (pixels >= LEAST_PIXELS)]:
        _spread(cells == number, maps)
    return {"hover_maps": np.ascontiguousarray(np.moveaxis(maps, 0, -1)[_RIM:-_RIM, _RIM:-_RIM])}


def _apart(cells: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber all pieces of a cell except the first."""
    from scipy.ndimage import label

    for number in np.unique(cells)[1:]:
        pieces = label(cells == number)[0]
        others = pieces > 1
        cells[others] = pieces[others] + cells.max()
    return cells


def _spread(mask: NDArray[np.bool_], maps: NDArray[np.float32]) -> None:
    from scipy.ndimage import center_of_mass

    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0] - _RIM, rows[-1] + 1 + _RIM), slice(columns[0] - _RIM, columns[-1] + 1 + _RIM)
    own = mask[box]
    y, x = (int(place + 0.5) for place in center_of_mass(own))
    grids = np.meshgrid(np.arange(1, own.shape[1] + 1) - x, np.arange(1, own.shape[0] + 1) - y)
    for grid, whole in zip(grids, maps, strict=True):
        offsets = np.where(own, grid, 0).astype(np.float32)
        if offsets.min() < 0:
            offsets[offsets < 0] /= -offsets[offsets < 0].min()
        if offsets.max() > 0:
            offsets[offsets > 0] /= offsets[offsets > 0].max()
        whole[box][own] = offsets[own]
