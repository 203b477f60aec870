"""Cells from the maps of HoVer-Net, by its own post-processing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components, keep_large

_PROBABILITY = 0.5  # threshold for pixels of cells
_EDGE = 0.4  # threshold for edges between cells, on a scale from 0 to 1
_LEAST_PIXELS = 10  # of a component of the mask, and of a seed
_SOBEL, _OPENING = 21, 5  # sides of kernels, in pixels


def hover_to_labels(probability: NDArray[Any], maps: NDArray[Any]) -> Labels:
    """Return the cells in the maps of HoVer-Net, as its ``__proc_np_hv`` does.

    Offsets drop steeply at the edge between two cells and rise within cells. Seeds are the mask pixels without such
    edges; they grow by watershed within the mask.

    Steepness is scaled by its maximum in the image, so that the result for a part depends on the whole image. Cells
    that are too narrow for a seed of 5 x 5 pixels (without its corners) are lost, as are components of the mask without
    a seed.

    Parameters
    ----------
    probability
        (H, W): probability of each pixel to belong to a cell; the threshold is 0.5.
    maps
        (H, W, 2), components (horizontal, vertical), as returned by `hover_maps`.

    Returns
    -------
    ndarray
        (H, W) int32: 0 = background, cells in any numbers.

    Examples
    --------
    >>> from cellprep.core.targets.hover import hover_maps
    >>> cells = np.zeros((30, 40), int)
    >>> cells[5:25, 5:20], cells[5:25, 20:35] = 1, 2
    >>> bool((hover_to_labels(cells > 0, hover_maps(cells)) == cells).all())
    True
    """
    import cv2
    from scipy.ndimage import binary_fill_holes
    from skimage.segmentation import watershed

    pieces = components(np.asarray(probability, np.float32) >= _PROBABILITY, connectivity=4)
    inside = keep_large(pieces, _LEAST_PIXELS) > 0
    steepness = [_steepness(maps[..., axis], axis) for axis in range(2)]
    edges = np.maximum(np.maximum(*steepness) - ~inside, 0)
    heights = cv2.GaussianBlur((1.0 - edges) * inside, (3, 3), 0)
    seeds = binary_fill_holes(inside & (edges < _EDGE)).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_OPENING, _OPENING))
    opened = cv2.morphologyEx(seeds, cv2.MORPH_OPEN, ellipse) > 0
    markers = keep_large(components(opened, connectivity=4), _LEAST_PIXELS)
    labels: Labels = watershed(-heights, markers, mask=inside)
    return labels.astype(np.int32, copy=False)


def _steepness(offsets: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Return the downward slope of offsets along their axis, (H, W), scaled: steepest drop 1, steepest rise 0."""
    import cv2

    values = _to_one(np.asarray(offsets, np.float32))
    rise = cv2.Sobel(values, cv2.CV_64F, 1 - axis, axis, ksize=_SOBEL)
    return 1 - _to_one(rise).astype(np.float64)


def _to_one(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale values to the range 0 to 1; 0 if they are all equal."""
    import cv2

    scaled = np.empty(values.shape, np.float32)
    cv2.normalize(values, scaled, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
    return scaled
