"""Conversion of label images and masks to runs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle.runs import Order, Runs

_BAND = 1 << 24  # pixels


def runs_from_labels(labels: NDArray[Any], order: Order = "row") -> tuple[Runs, NDArray[np.int64]]:
    """Return the runs of each label that occurs, and the labels.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; labels may be sparse and as large as int64 allows.
    order
        The order in which pixels are counted.

    Returns
    -------
    runs : Runs
        One annotation per label, in ascending order of the labels.
    values : ndarray
        (n,) int64: the labels.

    Examples
    --------
    >>> runs, values = runs_from_labels(np.array([[7, 7, 3], [0, 7, 3]]))
    >>> values, runs.starts, runs.lengths
    (array([3, 7]), array([2, 5, 0, 4]), array([1, 1, 2, 1]))
    """
    lines = labels if order == "row" else labels.T
    at_once = max(1, _BAND // max(1, lines.shape[1]))
    bands = (lines[first : first + at_once] for first in range(0, len(lines), at_once))
    height, width = labels.shape
    return runs_from_bands(bands, (height, width), order)


def runs_from_bands(
    bands: Iterable[NDArray[Any]], shape: tuple[int, int], order: Order = "row"
) -> tuple[Runs, NDArray[np.int64]]:
    """Return the result of `runs_from_labels` for a label image that is read in bands.

    Parameters
    ----------
    bands
        Consecutive lines of the image, from first to last: rows if `order` is ``"row"``, otherwise columns.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which pixels are counted.
    """
    parts = [np.zeros((2, 0), np.int64)]  # start and label of each run, including background
    done = 0
    last = -1
    for band in bands:
        flat = band.ravel()
        begins = np.flatnonzero(np.concatenate((flat[:1] != last, flat[1:] != flat[:-1])))
        parts.append(np.stack([begins + done, flat[begins].astype(np.int64)]))
        done += flat.size
        last = flat[-1] if flat.size else last
    starts, owners = np.concatenate(parts, axis=1)
    lengths = np.diff(starts, append=done)
    cells = np.flatnonzero(owners)
    cells = cells[np.argsort(owners[cells], kind="stable")]
    owners = owners[cells]
    first = np.flatnonzero(np.diff(owners, prepend=0))
    return Runs(starts[cells], lengths[cells], np.append(first, len(owners)), shape, order), owners[first]


def runs_from_masks(masks: NDArray[np.bool_], order: Order = "row") -> Runs:
    """Return the runs of masks, which may overlap.

    Parameters
    ----------
    masks
        (n, H, W) bool.
    order
        The order in which pixels are counted.

    Examples
    --------
    >>> runs = runs_from_masks(np.array([[[1, 1, 0], [0, 1, 0]]], bool))
    >>> runs.starts, runs.lengths, runs.offsets
    (array([0, 4]), array([2, 1]), array([0, 2]))
    """
    count, height, width = masks.shape
    size = height * width
    inside = np.flatnonzero(masks if order == "row" else masks.transpose(0, 2, 1))
    owner, position = inside // max(size, 1), inside % max(size, 1)
    first = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(position, prepend=-2) != 1))
    lengths = np.diff(first, append=len(position))
    offsets = np.searchsorted(owner[first], np.arange(count + 1))
    return Runs(position[first], lengths, offsets, (height, width), order)


def with_all_labels(runs: Runs, values: NDArray[np.int64], count: int) -> Runs:
    """Return the runs of the labels 1 to `count`, including labels without pixels.

    Parameters
    ----------
    runs, values
        From `runs_from_labels`; no value is above `count`.

    Examples
    --------
    >>> runs, values = runs_from_labels(np.array([[3, 0, 1]]))
    >>> with_all_labels(runs, values, 3).offsets
    array([0, 1, 1, 2])
    """
    runs_of = np.zeros(count + 1, np.int64)
    runs_of[values] = np.diff(runs.offsets)
    return Runs(runs.starts, runs.lengths, np.cumsum(runs_of), runs.shape, runs.order)
