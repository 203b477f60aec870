"""Parsing and formatting Kaggle's run-length text, ``start length start length ...`` with starts from 1.

``order`` is the order of pixels: ``"row"`` for row-major (Sartorius) or ``"column"`` for column-major (2018 Data
Science Bowl). All annotations of an image are processed at once.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import index
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_label_image, as_numbers
from cellprep.core.rle.faults import LONGEST_NUMBER, WHITESPACE, first_fault
from cellprep.core.rle.labels import runs_from_labels, runs_from_masks
from cellprep.core.rle.runs import Order, Runs
from cellprep.errors import RLEError, UsageError
from cellprep.text.wording import described

_PIECE = 1 << 24  # characters
_ALLOWED = {ord(c): None for c in "0123456789" + WHITESPACE}


def parse_rle(texts: str | Sequence[str], shape: tuple[int, int], order: Order = "row") -> Runs:
    """Parse the Kaggle run-length texts of an image's annotations.

    Runs may be in any order, but those of one annotation must not overlap. An empty string is an empty mask.

    Parameters
    ----------
    texts
        One text per annotation, or a single text for one annotation.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which the texts count pixels.

    Raises
    ------
    RLEError
        If an annotation is invalid; the error names the first fault: no text, not a whole number, an odd number of
        values, a start or length below 1, a run past the end of the image, or overlapping runs.
    UsageError
        If `texts` has the wrong type, `shape` is not (H, W), or `order` is neither ``"row"`` nor ``"column"``.

    Examples
    --------
    >>> runs = parse_rle(["1 2 5 1", "4 1"], (2, 3))
    >>> runs.starts, runs.lengths, runs.offsets
    (array([0, 4, 3]), array([2, 1, 1]), array([0, 2, 3]))
    """
    check_order(order)
    texts, shape = _as_texts(texts), _as_shape(shape)
    parsed = []
    for piece in _pieces(texts):
        runs = _parse(piece, shape, order)
        if runs is None:
            raise first_fault(texts, shape)
        parsed.append(runs)
    return Runs.joined(parsed)


def format_rle(runs: Runs) -> list[str]:
    """Format runs as Kaggle texts, one per annotation, in the order of the runs.

    Examples
    --------
    >>> format_rle(parse_rle(["5 1 1 2", ""], (2, 3)))
    ['1 2 5 1', '']
    """
    if not isinstance(runs, Runs):
        raise UsageError(
            f"runs must be Runs, as parse_rle returns them, not {described(runs)}: use encode_rle for masks"
        )
    words = list(map(str, np.stack([runs.starts + 1, runs.lengths], axis=1).ravel().tolist()))
    ends = (2 * runs.offsets).tolist()
    return [" ".join(words[a:b]) for a, b in pairwise(ends)]


def decode_rle(texts: str | Sequence[str], shape: tuple[int, int], order: Order = "row") -> NDArray[np.bool_]:
    """Decode Kaggle run-length texts to masks.

    Parameters
    ----------
    texts
        One text per annotation, or a single text.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which the texts count pixels.

    Returns
    -------
    ndarray
        (n, H, W) bool, axes (annotation, y, x); (H, W) for a single text.

    Raises
    ------
    RLEError, UsageError
        As `parse_rle`.

    Examples
    --------
    >>> decode_rle("1 2 5 1", (2, 3)).astype(int)
    array([[1, 1, 0],
           [0, 1, 0]])
    >>> decode_rle(["1 2 5 1"], (2, 3), order="column").astype(int)
    array([[[1, 0, 1],
            [1, 0, 0]]])
    """
    masks = parse_rle(texts, shape, order).to_masks()
    return masks[0] if isinstance(texts, str) else masks


def encode_rle(masks: ArrayLike, order: Order = "row") -> Any:  # types do not include the number of axes
    """Encode masks as Kaggle run-length texts, with sorted runs of maximal length.

    Parameters
    ----------
    masks
        (n, H, W), True or non-zero inside; they may overlap. Or a single mask, (H, W), True or one value inside.
    order
        Order of pixels in the texts.

    Returns
    -------
    list of str, or str
        One text per mask, empty for an empty mask. A single string for a single mask.

    Raises
    ------
    UsageError
        If `masks` are invalid, for example a label image: use `encode_labels` instead.

    Examples
    --------
    >>> encode_rle([[1, 1, 0], [0, 1, 0]])
    '1 2 5 1'
    >>> encode_rle([[[1, 1, 0], [0, 1, 0]]])
    ['1 2 5 1']
    """
    check_order(order)
    right = "(n, H, W), or a single (H, W)"
    array = as_numbers(masks, "masks", right)
    if array.ndim == 2:
        if array.dtype != bool and (found := np.unique(array[array != 0])).size > 1:
            raise UsageError(
                f"masks have {len(found)} nonzero values: one mask (H, W) has one; use encode_labels for labels"
            )
        return format_rle(runs_from_masks(array[np.newaxis] != 0, order))[0]
    if array.ndim != 3:
        raise UsageError(f"masks must be {right}, not {described(array)}")
    return format_rle(runs_from_masks(array != 0, order))


def encode_labels(labels: ArrayLike, order: Order = "row") -> list[str]:
    """Encode each cell of a label image as a Kaggle run-length text.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    order
        Order of pixels in the texts.

    Returns
    -------
    list of str
        Texts of the labels 1, 2, ..., max; empty for labels without pixels.

    Raises
    ------
    UsageError
        If `labels` is not a label image, or `order` is unknown.

    Examples
    --------
    >>> encode_labels([[1, 1, 3], [0, 1, 3]])
    ['1 2 5 1', '', '3 1 6 1']
    """
    check_order(order)
    image = as_label_image(labels)
    runs, values = runs_from_labels(image, order)
    texts = [""] * int(image.max())
    for value, text in zip(values.tolist(), format_rle(runs), strict=True):
        texts[value - 1] = text
    return texts


def check_order(order: str) -> None:
    """Raise UsageError unless `order` is ``"row"`` or ``"column"``."""
    if not isinstance(order, str) or order not in get_args(Order):
        raise UsageError(f"RLE order {order!r} is unknown: it is 'row' or 'column'")


def _as_texts(texts: str | Sequence[str]) -> Sequence[str]:
    """Return texts as a sequence that can be sliced; raises as `parse_rle` does."""
    if isinstance(texts, str):
        return [texts]
    try:
        listed = list(texts)
    except TypeError:
        raise UsageError(f"texts must be run-length texts, such as ['1 3'], not {described(texts)}") from None
    for place, text in enumerate(listed):
        if not isinstance(text, str):
            raise RLEError(place, f"it is {described(text)}: give a string, such as '1 3', or '' for an empty mask")
    return listed


def _as_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the size of an image as Python integers; raises as `parse_rle` does."""
    try:
        height, width = map(index, shape)
    except (TypeError, ValueError):
        height = width = -1
    if min(height, width) < 0:
        raise UsageError(f"shape must be (height, width) in pixels, not {str(shape)[:40]}")
    return height, width


def _pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in batches, to limit memory."""
    size = begin = 0
    for end, text in enumerate(texts):
        if size > _PIECE:
            yield texts[begin:end]
            size, begin = 0, end
        size += len(text)
    yield texts[begin:]


def _parse(texts: Sequence[str], shape: tuple[int, int], order: Order) -> Runs | None:
    """Return the runs of texts; None if any is faulty."""
    numbers = _split_numbers(texts)
    if numbers is None:
        return None
    values, counts = numbers
    if (counts % 2).any():
        return None
    offsets = np.concatenate(([0], np.cumsum(counts // 2)))
    runs = _sorted_runs(Runs(values[0::2] - 1, values[1::2], offsets, shape, order))
    return runs if _is_valid(runs, shape[0] * shape[1]) else None


def _split_numbers(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return all numbers of all texts and the count per text; None if any word is not a number."""
    joined = " ".join(texts)
    if joined.translate(_ALLOWED):
        return None
    digit = np.zeros(len(joined) + 2, bool)
    digit[1:-1] = np.frombuffer(joined.encode("ascii"), np.uint8) >= ord("0")
    edges = np.flatnonzero(digit[1:] != digit[:-1])
    first, end = edges[0::2], edges[1::2]
    if len(first) and (end - first).max() > LONGEST_NUMBER:
        return None
    bounds = np.concatenate(([0], np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)))
    counts = np.diff(np.searchsorted(first, bounds))
    values = np.fromstring(joined, np.int64, sep=" ") if len(first) else np.zeros(0, np.int64)
    return values, counts


def _sorted_runs(runs: Runs) -> Runs:
    owners = runs.owners
    if ((np.diff(runs.starts) > 0) | (np.diff(owners) > 0)).all():
        return runs
    by_start = np.lexsort((runs.starts, owners))
    return Runs(runs.starts[by_start], runs.lengths[by_start], runs.offsets, runs.shape, runs.order)


def _is_valid(runs: Runs, size: int) -> bool:
    ends = runs.starts + runs.lengths
    inside = (runs.starts >= 0) & (runs.lengths >= 1) & (ends <= size)
    disjoint = (runs.starts[1:] >= ends[:-1]) | (np.diff(runs.owners) > 0)
    return bool(inside.all() and disjoint.all())
