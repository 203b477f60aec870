"""Cells from the classes background, inside and boundary: insides grow into their boundaries."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components, keep_large
from cellprep.core.decode.growing import grow

_BACKGROUND, _INSIDE, _BOUNDARY = range(3)
_WITHIN_CELLS = ("inner", "border-core")  # rules whose boundaries lie within cells
_LEAST_SEED, _LEAST_CELL = 5, 20  # pixels


def boundary_to_labels(classes: NDArray[Any], mode: str = "inner") -> Labels:
    """Return the cells of a class map.

    Parameters
    ----------
    classes
        (H, W): 0 background, 1 inside, 2 boundary.
    mode
        Rule by which the boundary was made, a name in `cellprep.core.targets.boundary.BOUNDARIES`.

    Returns
    -------
    ndarray
        (H, W) int32: 0 = background; cells in any numbers. Each 8-connected piece of the inside with at least 5 pixels
        grows into the boundary. Boundary next to background stays background if the rule draws some there. Other
        pieces, such as cells too thin for an inside, become cells if they have at least 20 pixels.

    Examples
    --------
    >>> row = [0, 2, 2, 1, 2, 2, 1, 1]
    >>> boundary_to_labels(np.array([row] * 5))[0], boundary_to_labels(np.array([row] * 5), "thick")[0]
    (array([0, 1, 1, 1, 1, 2, 2, 2], dtype=int32), array([0, 0, 1, 1, 1, 2, 2, 2], dtype=int32))
    """
    import cv2

    inside, boundary = classes == _INSIDE, classes == _BOUNDARY
    if mode not in _WITHIN_CELLS:
        background = (classes == _BACKGROUND).view(np.uint8)
        boundary &= cv2.dilate(background, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) == 0
    labels = grow(keep_large(components(inside), _LEAST_SEED), inside | boundary)
    rest = keep_large(components((inside | boundary) & (labels == 0)), _LEAST_CELL)
    return np.where(rest > 0, rest + labels.max(), labels).astype(np.int32)
