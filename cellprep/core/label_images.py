"""Validation of array arguments: numbers, label images, masks."""

import itertools
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError
from cellprep.text.wording import described

_LARGEST_LABEL = 2**24  # limits the size of tables indexed by label

# A label is one piece or a few adjacent ones, while an intensity recurs all over a picture. In 200 real label images a
# label has 1.3 pieces at most. In as many pictures an intensity has at least 48, or 2.7 if they are small, smoothed and
# stretched to 16 bits. Pieces of pictures have a few pixels or, in blurred pictures, are very numerous.
_FEW_VALUES = 8  # masks of a few classes repeat their numbers
_MANY_PIECES = 3  # pieces per value, if they are small
_SMALL_PIECE = 50  # pixels
_VERY_MANY_PIECES = 20  # pieces per value, of any size
# Difference between pixels, and share of such differences; label images have half at most.
_SMALL_STEP, _MOST_SMALL = 2, 0.8
_ALL_OVER = 0.2  # share of the image covered by the bounding box of one value
_TINY_PIECE, _DENSE = 3, 0.3  # pixels, and share of the area: no real image has so many tiny cells
_ENOUGH = 100  # smallest number of pieces to judge by
_WINDOW, _WINDOWS_A_SIDE = 1024, 4  # large images are sampled in windows


def as_numbers(values: ArrayLike, name: str, right: str) -> NDArray[Any]:
    """Return an argument as a numeric or boolean array.

    Parameters
    ----------
    values
        The argument.
    name, right
        Name of the argument and description of a valid one, for the error message.

    Raises
    ------
    UsageError
        If it is anything else, such as a path, a ragged list or None.

    Examples
    --------
    >>> as_numbers("mask.png", "mask", "(H, W)")
    Traceback (most recent call last):
    cellprep.errors.UsageError: mask must be (H, W), not the text 'mask.png': read it first, as skimage.io.imread does
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; tensors on a GPU or with gradients
        array = np.empty(0, object)
    if array.dtype.kind in "biuf":
        return array
    advice = ": read it first, as skimage.io.imread does" if isinstance(values, str | PathLike) else ""
    raise UsageError(f"{name} must be {right}, not {described(values)}{advice}")


def as_masks(masks: ArrayLike, name: str = "masks") -> NDArray[np.bool_]:
    """Return masks as an array.

    Parameters
    ----------
    masks
        (n, H, W), or a list of n (H, W): boolean, or numeric with 0 and one other value in each mask.
    name
        Name of the argument, for the error message.

    Raises
    ------
    UsageError
        If they are anything else, such as a label image or a picture.

    Examples
    --------
    >>> as_masks([[[0, 1, 0]], [[0, 7, 7]]]).shape
    (2, 1, 3)
    >>> as_masks([[0, 1, 2]])
    Traceback (most recent call last):
    cellprep.errors.UsageError: masks must be (n, H, W) booleans, not int64 of shape (1, 3)
    """
    stack = as_numbers(masks, name, "(n, H, W) booleans")
    if stack.ndim != 3:
        raise UsageError(f"{name} must be (n, H, W) booleans, not {described(stack)}")
    if stack.dtype != bool:
        for place, mask in enumerate(stack):
            inside = mask[mask != 0]
            if inside.size and not (inside == inside[0]).all():
                raise UsageError(
                    f"{name} must be (n, H, W) booleans, not {described(stack)}: number {place} has several values "
                    "above 0; a label image is one (H, W) array"
                )
    return stack.astype(bool)


def as_label_image(labels: ArrayLike, name: str = "labels", right: str = "(H, W) integers") -> NDArray[Any]:
    """Return labels as an array.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing.
    name, right
        Name of the argument and description of a valid one, for the error message.

    Raises
    ------
    UsageError
        If `labels` is not a two-dimensional array of integers from 0 to 16,777,216, or is empty.

    Examples
    --------
    >>> as_label_image([[0, 1.5]])
    Traceback (most recent call last):
    cellprep.errors.UsageError: labels must be (H, W) integers, not float64 of shape (1, 2)
    """
    image = as_numbers(labels, name, right)
    if image.ndim != 2 or image.dtype.kind not in "iu" or not image.size:
        raise UsageError(f"{name} must be {right}, not {described(image)}{_advice(image)}")
    if image.min() < 0 or image.max() > _LARGEST_LABEL:
        raise UsageError(
            f"{name} range from {image.min()} to {image.max()}: they must be between 0 and {_LARGEST_LABEL}; "
            "skimage.segmentation.relabel_sequential renumbers them"
        )
    return image


def _advice(image: NDArray[Any]) -> str:
    """Return advice on converting an array to a label image."""
    if image.ndim == 2 and image.dtype.kind == "b":
        return ": skimage.measure.label labels the components of a mask"
    if image.ndim == 2 and image.size and (image == np.rint(image)).all():
        return ": convert these whole numbers with .astype(int)"
    return ": pass masks (n, H, W) to resolve_overlaps" if image.ndim == 3 else ""


def whole_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as integers, regardless of their dtype.

    Parameters
    ----------
    labels
        (H, W) integers, booleans, or floats that are whole numbers.

    Raises
    ------
    ValueError
        If values are not whole numbers, or too large to be exact floats; the message describes them.

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
        raise ValueError(f"has {labels.dtype} values: label images have integers")
    largest = 2 ** (np.finfo(labels.dtype).nmant + 1)
    wrong = ~(np.abs(labels) < largest) | (labels != np.rint(labels))
    if wrong.any():
        raise ValueError(
            f"has the {labels.dtype} value {labels[wrong][0]}: label images have integers, or floats that are whole "
            f"numbers below {largest:,}"
        )
    return labels.astype(np.int64)


def looks_like_picture(labels: NDArray[Any]) -> bool:
    """Return whether the values of an image recur in the way intensities of pictures do.

    A label is one cell: one connected component or a few adjacent ones, of any shape. In a picture, an intensity recurs
    in many components all over the image. They are small or very numerous or, as in a distance map, adjacent to
    components of almost the same intensity; or each has only a pixel or two, and there is hardly any background.

    Parameters
    ----------
    labels
        (H, W), 0 = background, of any real dtype.

    Examples
    --------
    >>> looks_like_picture(np.arange(400).reshape(20, 20) ** 3 % 251)
    True
    >>> looks_like_picture(np.arange(400).reshape(400, 1).repeat(9, 1))  # stripes
    False
    """
    from scipy.ndimage import find_objects
    from skimage.measure import label

    inside = pieces = values = steps = small = 0
    boxes = 0.0
    windows = list(_windows(labels))
    for window in windows:
        numbers = np.unique(window, return_inverse=True)[1].reshape(window.shape)
        numbers = numbers + 1 if window.min() > 0 else numbers  # from here on 0 is background, even if there is none
        pixels = np.bincount(numbers.ravel())[1:]
        inside += int(pixels.sum())
        values += len(pixels)
        for one, other in ((window[1:], window[:-1]), (window[:, 1:], window[:, :-1])):
            sizes = np.abs(one.astype(np.float64) - other)
            steps += int(np.count_nonzero(sizes))
            small += int(np.count_nonzero((sizes > 0) & (sizes <= _SMALL_STEP)))
        pieces += int(label(numbers, background=0, connectivity=2, return_num=True)[1])
        boxes += sum(
            count * (box[0].stop - box[0].start) * (box[1].stop - box[1].start) / window.size
            for count, box in zip(pixels.tolist(), find_objects(numbers), strict=True)
            if count
        )
    if values < _FEW_VALUES * len(windows) or pieces < _ENOUGH:
        return False
    recurs = pieces > _MANY_PIECES * values and boxes > _ALL_OVER * inside
    is_scattered = pieces > _VERY_MANY_PIECES * values or inside < _SMALL_PIECE * pieces
    is_smooth = small > _MOST_SMALL * steps
    is_dense = inside > _DENSE * sum(window.size for window in windows)
    return (recurs and (is_scattered or is_smooth)) or (is_dense and inside < _TINY_PIECE * pieces)


def _windows(labels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an image, or evenly spaced windows of a large one."""
    if labels.size <= (2 * _WINDOW) ** 2:
        yield labels
        return
    starts = [
        np.unique(np.linspace(0, max(0, size - _WINDOW), _WINDOWS_A_SIDE).astype(int)).tolist() for size in labels.shape
    ]
    for row, column in itertools.product(*starts):
        yield labels[row : row + _WINDOW, column : column + _WINDOW]
