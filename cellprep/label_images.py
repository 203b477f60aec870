"""What counts as a label image."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError

__all__ = ["as_label_image"]

_LARGEST_LABEL = 2**24  # there are tables up to the largest label


def as_label_image(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as an array.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing.

    Raises
    ------
    UsageError
        If `labels` is not a two-dimensional array of integers from 0 to 16,777,216, or has no pixel.

    Examples
    --------
    >>> as_label_image([[0, 1.5]])
    Traceback (most recent call last):
    cellprep.errors.UsageError: labels must be (H, W) integers, not float64 of shape (1, 2)
    """
    image = np.asarray(labels)
    if image.ndim != 2 or image.dtype.kind not in "iu" or not image.size:
        raise UsageError(f"labels must be (H, W) integers, not {image.dtype} of shape {image.shape}")
    if image.min() < 0 or image.max() > _LARGEST_LABEL:
        raise UsageError(
            f"labels go from {image.min()} to {image.max()}: they must lie between 0 and {_LARGEST_LABEL}; "
            "skimage.segmentation.relabel_sequential makes them so"
        )
    return image
