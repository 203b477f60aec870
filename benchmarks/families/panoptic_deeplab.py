"""Centres and offsets compared with Panoptic-DeepLab's target generator, reimplemented as it is not a package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.panoptic_deeplab import SIGMA, centre_heat, centre_offsets

PACKAGE = None


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"centre_heat": centre_heat(labels), "centre_offset": centre_offsets(labels)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same cell by cell, searching the whole image for each, as the generator does."""
    reach = 3 * SIGMA + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    hill = np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
    heat, offset = np.zeros(labels.shape, np.float32), np.zeros((*labels.shape, 2), np.float32)
    for label in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == label)
        centre = rows.mean(), columns.mean()
        top, left = int(centre[0]) - reach, int(centre[1]) - reach
        here = slice(max(top, 0), top + len(hill)), slice(max(left, 0), left + len(hill))
        height, width = heat[here].shape
        part = hill[here[0].start - top :, here[1].start - left :][:height, :width]
        heat[here] = np.maximum(heat[here], part)
        offset[rows, columns, 0] = centre[0] - rows
        offset[rows, columns, 1] = centre[1] - columns
    return {"centre_heat": heat, "centre_offset": offset}
