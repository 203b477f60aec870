"""Perimeters of all cells of a region."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cellprep.core.measures.region import Region

# Value of an outline pixel by its neighbours on the outline: 2 for each straight one, 10 for each diagonal one, and 1
# for itself. From Benkrid and Crookes, as in scikit-image.
_WEIGHTS = np.zeros(50)
_WEIGHTS[[5, 7, 15, 17, 25, 27]] = 1
_WEIGHTS[[21, 33]] = sqrt(2)
_WEIGHTS[[13, 23]] = (1 + sqrt(2)) / 2


def perimeters(region: Region) -> NDArray[np.float64]:
    """Return the perimeter of each cell, as `skimage.measure.perimeter` with 4 neighbours does.

    Pixels are compared with their neighbours in the whole region instead of a copy of each cell. The counts of each
    case are integers, weighted cell by cell, so that results are equal bit for bit.
    """
    labels = np.pad(region.labels, 1)
    line = labels.shape[1]
    flat = labels.ravel()
    inner = labels[1:-1, 1:-1]
    is_border = np.zeros(labels.shape, bool)
    is_border[1:-1, 1:-1] = (inner > 0) & (
        (inner != labels[:-2, 1:-1])
        | (inner != labels[2:, 1:-1])
        | (inner != labels[1:-1, :-2])
        | (inner != labels[1:-1, 2:])
    )
    border = is_border.ravel()
    here = np.flatnonzero(border)
    places = region.places(flat[here])
    here, places = here[places < len(region.numbers)], places[places < len(region.numbers)]
    case = np.ones(len(here), np.intp)
    for adds, steps in ((2, (-line, line, -1, 1)), (10, (-line - 1, -line + 1, line - 1, line + 1))):
        for step in steps:
            case += adds * (border[here + step] & (flat[here + step] == flat[here]))
    counts = np.bincount(50 * places + case, minlength=50 * len(region.numbers)).reshape(-1, 50)
    return np.array([of_cell @ _WEIGHTS for of_cell in counts], float)
