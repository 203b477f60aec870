"""Connected pieces of a mask."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "components", "keep_large", "sizes"]

Labels = NDArray[np.int32]


def components(mask: NDArray[np.bool_]) -> Labels:
    """Return the 8-connected pieces of a mask: (H, W) int32, 0 outside."""
    labels: Labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]
    return labels


def sizes(labels: Labels) -> NDArray[np.int64]:
    """Return the pixels of each label; 0 for the background."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return counts


def keep_large(labels: Labels, smallest: int) -> Labels:
    """Return labels without those of fewer pixels."""
    counts = sizes(labels)
    kept = np.where(counts >= smallest, np.arange(len(counts), dtype=np.int32), np.int32(0))
    return kept[labels]
