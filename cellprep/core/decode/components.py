"""Connected components of a mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def components(mask: NDArray[np.bool_], connectivity: int = 8) -> Labels:
    """Label the 8- or 4-connected components of a mask: (H, W) int32, in any order, 0 outside."""
    import cv2

    pieces = cv2.connectedComponents(mask.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S)[1]
    return pieces.astype(np.int32, copy=False)


def sizes(labels: Labels) -> NDArray[np.int64]:
    """Return the number of pixels of each label; 0 for the background."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return counts


def keep_large(labels: Labels, smallest: int) -> Labels:
    """Remove labels with fewer pixels."""
    counts = sizes(labels)
    kept = np.where(counts >= smallest, np.arange(len(counts), dtype=np.int32), np.int32(0))
    return kept[labels]


def sum_by(places: Ints, values: NDArray[Any], count: int) -> Floats:
    """Sum values (m,) by group index (m,): (count,)."""
    return np.bincount(places, values, count).astype(np.float64, copy=False)
