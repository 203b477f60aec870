"""Numbering of instances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def number_in_raster_order(labels: NDArray[np.int32]) -> NDArray[Any]:
    """Renumber labels from 1 in raster order of their first pixels; 0 stays 0.

    Parameters
    ----------
    labels
        (H, W), 0 = background; numbers may be missing.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 labels.

    Examples
    --------
    >>> number_in_raster_order(np.array([[0, 7, 7], [3, 0, 7]], np.int32))
    array([[0, 1, 1],
           [2, 0, 1]], dtype=uint16)
    """
    flat = labels.ravel()
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1  # a label first occurs where the value changes
    places = np.concatenate(([0], starts))
    values = flat[places]
    first = np.full(int(flat.max()) + 1, flat.size, np.int64)
    np.minimum.at(first, values, places)
    first[0] = flat.size
    found = np.flatnonzero(first < flat.size)
    number = np.zeros(len(first), np.uint16 if len(found) <= np.iinfo(np.uint16).max else np.uint32)
    number[found[np.argsort(first[found])]] = np.arange(1, len(found) + 1)
    return number[labels]
