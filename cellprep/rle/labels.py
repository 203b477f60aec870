"""Label images to runs: each cell of a label image as the runs of its pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.rle.runs import Order, Runs

__all__ = ["runs_from_labels"]


def runs_from_labels(labels: NDArray[Any], order: Order = "row") -> tuple[Runs, NDArray[np.int64]]:
    """Return the runs of each label that occurs, and these labels.

    Parameters
    ----------
    labels
        (H, W) integers from 0, 0 = background; they may be sparse and of any size that int64 holds.
    order
        The order in which pixels are counted.

    Returns
    -------
    runs : Runs
        One annotation per label, in rising order of the labels.
    values : ndarray
        (n,) int64: the labels.

    Examples
    --------
    >>> runs, values = runs_from_labels(np.array([[7, 7, 3], [0, 7, 3]]))
    >>> values, runs.starts, runs.lengths
    (array([3, 7]), array([2, 5, 0, 4]), array([1, 1, 2, 1]))
    """
    flat = (labels if order == "row" else labels.T).ravel()
    edges = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))[: flat.size]
    lengths = np.diff(edges, append=flat.size)
    owners = flat[edges].astype(np.int64)
    cells = np.flatnonzero(owners)
    cells = cells[np.argsort(owners[cells], kind="stable")]
    owners = owners[cells]
    first = np.flatnonzero(np.diff(owners, prepend=0))
    offsets = np.append(first, len(owners))
    height, width = labels.shape
    return Runs(edges[cells], lengths[cells], offsets, (height, width), order), owners[first]
