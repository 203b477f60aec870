"""The cells in the maps of HoVer-Net, by its own post-processing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components, keep_large

_PROBABILITY = 0.5  # of a pixel of a cell
_EDGE = 0.4  # of what is an edge between cells, on a scale from 0 to 1
_LEAST_PIXELS = 10  # of a piece of the mask, and of a seed
_SOBEL, _OPENING = 21, 5  # sides of kernels, in pixels


def hover_to_labels(probability: NDArray[Any], maps: NDArray[Any]) -> Labels:
    """Return the cells in the maps of HoVer-Net, as its ``__proc_np_hv`` does.

    Offsets fall steeply where one cell ends and the next begins: where they rise instead, there are cells. The seeds
    are pixels of the mask without such edges, and a watershed grows them in the mask.

    Steepness is scaled by the largest in the image: what is found in a part of an image depends on all of it. Cells
    that are too narrow for a seed of 5 x 5 pixels, but for its corners, are lost, as are pieces of the mask without a
    seed.

    Parameters
    ----------
    probability
        (H, W) of the pixels to belong to a cell: from 0.5 on they do.
    maps
        (H, W, 2), components (horizontal, vertical), as `hover_maps` returns them.

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
    """Return how far offsets fall along their axis, (H, W): 1 where they do so the most, 0 where they rise the most."""
    import cv2

    values = _to_one(np.asarray(offsets, np.float32))
    rise = cv2.Sobel(values, cv2.CV_64F, 1 - axis, axis, ksize=_SOBEL)
    return 1 - _to_one(rise).astype(np.float64)


def _to_one(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values scaled to 0 up to 1; 0 if they are all equal."""
    import cv2

    scaled = np.empty(values.shape, np.float32)
    cv2.normalize(values, scaled, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
    return scaled
