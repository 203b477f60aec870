"""Checks that arrays are what they should be: numbers, label images, masks."""

import itertools
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError
from cellprep.text.wording import described

_LARGEST_LABEL = 2**24  # there are tables up to the largest label

# A label is one piece, or few of them side by side; an intensity recurs all over a picture. Of 200 real label images a
# label has 1.3 pieces at most. Of as many pictures an intensity has 48 at least, and 2.7 if they are small, smoothed
# and stretched to 16 bits. Pieces of pictures are of a few pixels, or, where these are blurred, very many.
_FEW_VALUES = 8  # masks of some classes repeat their numbers
_MANY_PIECES = 3  # per value, if they are small
_SMALL_PIECE = 50  # pixels
_VERY_MANY_PIECES = 20  # per value, whatever their size
_SMALL_STEP, _MOST_SMALL = 2, 0.8  # from pixel to pixel, and share of the steps; of label images half at most
_ALL_OVER = 0.2  # of the area: the boxes about all that is of one value
_TINY_PIECE, _DENSE = 3, 0.3  # pixels, and share of the area: so many cells of so few pixels have no place
_ENOUGH = 100  # pieces, to judge by
_WINDOW, _WINDOWS_A_SIDE = 1024, 4  # of a large image some windows are looked at


def as_numbers(values: ArrayLike, name: str, right: str) -> NDArray[Any]:
    """Return an argument as an array of numbers or booleans.

    Parameters
    ----------
    values
        The argument.
    name, right
        What it is called, and what it should be, for the error.

    Raises
    ------
    UsageError
        If it is something else, such as a path, a ragged list or None.

    Examples
    --------
    >>> as_numbers("mask.png", "mask", "(H, W)")
    Traceback (most recent call last):
    cellprep.errors.UsageError: mask must be (H, W), not the text 'mask.png': read it first, as skimage.io.imread does
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; tensors of a graphics card, or with gradients
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
        (n, H, W), or a list of n (H, W): booleans, or numbers of which each mask holds 0 and one other.
    name
        What they are called, for the error.

    Raises
    ------
    UsageError
        If they are something else, such as a label image or a picture.

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
                    f"{name} must be (n, H, W) booleans, not {described(stack)}: number {place} holds several values "
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
        What they are called, and what they should be, for the error.

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
    image = as_numbers(labels, name, right)
    if image.ndim != 2 or image.dtype.kind not in "iu" or not image.size:
        raise UsageError(f"{name} must be {right}, not {described(image)}{_advice(image)}")
    if image.min() < 0 or image.max() > _LARGEST_LABEL:
        raise UsageError(
            f"{name} go from {image.min()} to {image.max()}: they must lie between 0 and {_LARGEST_LABEL}; "
            "skimage.segmentation.relabel_sequential makes them so"
        )
    return image


def _advice(image: NDArray[Any]) -> str:
    """Return how what is no label image may become one."""
    if image.ndim == 2 and image.dtype.kind == "b":
        return ": skimage.measure.label numbers the pieces of a mask"
    if image.ndim == 2 and image.size and (image == np.rint(image)).all():
        return ": .astype(int) makes these whole numbers integers"
    return ": resolve_overlaps takes masks (n, H, W)" if image.ndim == 3 else ""


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
    """Return whether the values of an image recur as only the intensities of pictures do.

    A label is one cell: one piece of pixels that touch, or a few side by side, whatever its shape. In a picture an
    intensity recurs in many pieces all over, which are small, very many or, as in a map of distances, next to those of
    almost the same intensity; or each piece is a pixel or two, and there is hardly any background.

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
        numbers = numbers + 1 if window.min() > 0 else numbers  # background or not, 0 is it from here on
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
    """Yield an image, or of a large one some windows evenly apart."""
    if labels.size <= (2 * _WINDOW) ** 2:
        yield labels
        return
    starts = [
        np.unique(np.linspace(0, max(0, size - _WINDOW), _WINDOWS_A_SIDE).astype(int)).tolist() for size in labels.shape
    ]
    for row, column in itertools.product(*starts):
        yield labels[row : row + _WINDOW, column : column + _WINDOW]
