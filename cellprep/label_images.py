"""What counts as a label image, and what does not."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError

__all__ = ["as_label_image", "looks_like_picture", "whole_numbers"]

_LARGEST_LABEL = 2**24  # there are tables up to the largest label

# Of 260 real label images at most 0.13 of the runs are alone, and 0.5 of the steps are small; of as many pictures the
# least noisy have 0.35 alone, and those with less, blurred ones, 0.95 small steps.
_MOST_ALONE = 0.3
_MOST_SMALL = 0.8
_SMALL_STEP = 2
_MANY_VALUES = 8  # masks of a few classes may have small steps only
_ENOUGH = 100  # runs and steps, to judge by
_BAND = 2048  # rows looked at together


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


def whole_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as integers, whatever type holds them.

    Parameters
    ----------
    labels
        (H, W) integers, booleans, or floats that are whole numbers.

    Raises
    ------
    ValueError
        Saying what it holds, if these are no such numbers, or so large that floats no longer tell them apart.

    Examples
    --------
    >>> whole_numbers(np.array([[0.0, 2.0]]))
    array([[0, 2]])
    """
    if labels.dtype.kind in "iu":
        return labels
    if labels.dtype == bool:
        return labels.astype(np.uint8)
    if labels.dtype.kind != "f":
        raise ValueError(f"holds {labels.dtype} values: label images hold integers")
    largest = 2 ** (np.finfo(labels.dtype).nmant + 1)
    wrong = ~(np.abs(labels) < largest) | (labels != np.rint(labels))
    if wrong.any():
        raise ValueError(
            f"holds the {labels.dtype} value {labels[wrong][0]}: label images hold integers, or floats that are whole "
            f"numbers below {largest:,}"
        )
    return labels.astype(np.int64)


def looks_like_picture(labels: NDArray[Any]) -> bool:
    """Return whether the values of an image change from pixel to pixel as only those of pictures do.

    Labels are constant within a cell, and most steps between them, above all those to the background, are of several
    numbers. Pictures are noisy, so that few pixels equal one above or below, or smooth, so that most steps are small.

    Parameters
    ----------
    labels
        (H, W), 0 = background, of any real dtype.

    Examples
    --------
    >>> looks_like_picture(np.arange(400).reshape(20, 20) ** 3 % 251)
    True
    """
    steps = small = starts = alone = 0
    values: set[Any] = set()
    for first in range(0, len(labels), _BAND):
        band = labels[max(first - 1, 0) : first + _BAND + 1]
        across, down = band[:, 1:] != band[:, :-1], band[1:] != band[:-1]
        for differ, one, other in ((across, band[:, 1:], band[:, :-1]), (down, band[1:], band[:-1])):
            sizes = np.abs(one[differ].astype(np.float64) - other[differ])
            steps += len(sizes)
            small += int(np.count_nonzero(sizes <= _SMALL_STEP))
            if len(values) < _MANY_VALUES:
                values.update(np.unique(one[differ])[:_MANY_VALUES].tolist())
        begins = across[1:-1] & (band[1:-1, 1:] != 0)  # of runs of one label in a row
        starts += int(np.count_nonzero(begins))
        alone += int(np.count_nonzero(begins & down[1:, 1:] & down[:-1, 1:]))
    is_noisy = starts >= _ENOUGH and alone > _MOST_ALONE * starts
    is_smooth = steps >= 2 * _ENOUGH and small > _MOST_SMALL * steps and len(values) >= _MANY_VALUES
    return is_noisy or is_smooth
