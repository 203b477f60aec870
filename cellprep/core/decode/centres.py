"""Cells from centres: by offsets to the centre, or by distances to centre and boundary."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components
from cellprep.core.decode.tops import smooth

Floats = NDArray[np.float32]

_APART = 7  # side in pixels of the square in which only the maximum is a centre


def centres_to_labels(heat: Floats, offsets: Floats, foreground: NDArray[np.bool_], least: float = 0.1) -> Labels:
    """Group pixels into cells as Panoptic-DeepLab does: each pixel joins the centre nearest to where its offset points.

    Parameters
    ----------
    heat
        (H, W): a pixel that is the maximum of the 7 x 7 pixels around it is a centre.
    offsets
        (H, W, 2), components (y, x) in pixels: from each pixel to the centre of its cell.
    foreground
        (H, W) bool: where there are cells.
    least
        Smallest heat of a centre.

    Returns
    -------
    ndarray
        (H, W) int32: 0 outside the foreground; cells in any numbers.

    Examples
    --------
    >>> heat = np.array([[0, 1, 0, 0, 0, 0.5, 0]], np.float32)
    >>> offsets = np.zeros((1, 7, 2), np.float32)
    >>> offsets[0, :, 1] = [1, 0, -1, -2, 1, 0, 0]
    >>> centres_to_labels(heat, offsets, np.array([[1, 1, 1, 1, 1, 1, 0]], bool))
    array([[1, 1, 1, 1, 2, 2, 0]], dtype=int32)
    """
    import cv2
    from scipy.spatial import KDTree

    highest = cv2.dilate(heat, np.ones((_APART, _APART), np.uint8)).reshape(heat.shape)
    peaks = components((heat == highest) & (heat > least))
    labels = np.zeros(heat.shape, np.int32)
    if peaks.any() and foreground.any():
        y, x = np.nonzero(peaks)
        pixels = np.argwhere(foreground)
        nearest = KDTree(np.stack([y, x], axis=1)).query(pixels + offsets[foreground])[1]
        labels[foreground] = peaks[y, x][nearest]
    return labels


def object_distances_to_labels(
    centre: Floats, boundary: Floats, foreground: NDArray[np.bool_], most: float = 0.5, smoothing: float = 1.0
) -> Labels:
    """Grow cells from seeds where both distances are short, as torch-em and micro-SAM do.

    Parameters
    ----------
    centre
        (H, W): relative distance to the centre of the cell.
    boundary
        (H, W): 1 on the boundary of a cell, decreasing with the distance from it.
    foreground
        (H, W) bool: where there are cells.
    most
        Largest value of both distances in a seed.
    smoothing
        Standard deviation, in pixels, of the Gaussian that smooths the distances; 0 for none. Torch-em uses 1.6, which
        is too much for small nuclei.

    Returns
    -------
    ndarray
        (H, W) int32: 0 outside the foreground; cells in any numbers. Seeds are 8-connected. They grow by watershed on
        the distance to the boundary.

    Examples
    --------
    >>> far = np.array([[1, 0, 1, 1, 0, 1]], np.float32)
    >>> object_distances_to_labels(far, far, np.ones((1, 6), bool), smoothing=0)
    array([[1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    from skimage.segmentation import watershed

    centre, boundary = smooth(centre, smoothing), smooth(boundary, smoothing)
    seeds = components((centre < most) & (boundary < most) & foreground)
    grown: Labels = watershed(boundary, seeds, mask=foreground)
    return grown.astype(np.int32)
