"""One-to-one matching of predicted and true cells."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Indices, Pairs


def match_cells(pairs: Pairs, threshold: float) -> Indices:
    """Match predicted and true cells one to one.

    The number of matches is maximised, then the sum of IoUs. If neither side has overlaps, the result is that of
    StarDist's ``matching`` (``stardist/matching.py``, copied by cellpose's ``metrics.average_precision``). No matrix of
    all cells is made, as almost every match is the only candidate of both cells.

    Parameters
    ----------
    pairs
        Result of `find_pairs`.
    threshold
        Smallest IoU of a match, above 0.

    Returns
    -------
    ndarray
        (k,) int64: indices of the matches among the pairs.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> from cellprep.core.scores import find_pairs
    >>> pairs = find_pairs(parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5)))
    >>> pairs.ious.round(2), match_cells(pairs, 0.25)
    (array([0.5 , 0.29, 0.33]), array([0, 2]))
    """
    settled, rest = settle(pairs, np.flatnonzero(pairs.ious >= threshold))
    # All IoUs together do not outweigh one more match.
    weights = 1 + pairs.ious[rest] / (2 * max(len(rest), 1))
    chosen = rest[assign(pairs.predicted[rest], pairs.truth[rest], weights)]
    return np.sort(np.concatenate((settled, chosen)))


def settle(pairs: Pairs, edges: Indices) -> tuple[Indices, Indices]:
    """Split pairs, given by index, into those that share no cell with others of them, and the rest."""
    predicted, truth = pairs.predicted[edges], pairs.truth[edges]
    alone = (np.bincount(predicted)[predicted] == 1) & (np.bincount(truth)[truth] == 1)
    return edges[alone], edges[~alone]


def assign(predicted: Indices, truth: Indices, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose pairs without common cells that maximise the sum of weights.

    Parameters
    ----------
    predicted, truth
        (p,) int64: the cells of each pair, without duplicates.
    weights
        (p,) float64, above 0.

    Returns
    -------
    ndarray
        (p,) bool: the chosen pairs.

    Examples
    --------
    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.5, 0.5]))
    array([False,  True,  True])
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(predicted):
        return np.zeros(0, bool)
    rows, columns = np.unique(truth, return_inverse=True)[1], np.unique(predicted, return_inverse=True)[1]
    count, others = rows.max() + 1, columns.max() + 1
    # One extra column per row allows it to stay single; adding a constant to all weights keeps the optimum.
    row = np.concatenate((rows, np.arange(count)))
    column = np.concatenate((columns, others + np.arange(count)))
    graph = csr_array((1 + np.concatenate((weights, np.zeros(count))), (row, column)), shape=(count, others + count))
    partner = min_weight_full_bipartite_matching(graph, maximize=True)[1]
    chosen: NDArray[np.bool_] = partner[rows] == columns
    return chosen
