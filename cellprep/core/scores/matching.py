"""One-to-one matching of predicted and true cells."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Indices, Pairs


def match_cells(pairs: Pairs, threshold: float) -> Indices:
    """Match predicted and true cells one to one.

    As many as possible are matched, and among the ways to do so that with the largest sum of IoUs is chosen. Where
    neither side has overlaps, this is what StarDist's ``matching`` does (``stardist/matching.py``, of which cellpose's
    ``metrics.average_precision`` is a copy); but no matrix of all cells is made, since nearly every match is the only
    one that either cell has.

    Parameters
    ----------
    pairs
        From `find_pairs`.
    threshold
        The IoU, above 0, from which on two cells can match.

    Returns
    -------
    ndarray
        (k,) int64: the places of the matches among the pairs.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> from cellprep.core.scores import find_pairs
    >>> pairs = find_pairs(parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5)))
    >>> pairs.ious.round(2), match_cells(pairs, 0.25)
    (array([0.5 , 0.29, 0.33]), array([0, 2]))
    """
    settled, rest = settle(pairs, np.flatnonzero(pairs.ious >= threshold))
    # However many there are, their IoUs together do not outweigh another match.
    weights = 1 + pairs.ious[rest] / (2 * max(len(rest), 1))
    chosen = rest[assign(pairs.predicted[rest], pairs.truth[rest], weights)]
    return np.sort(np.concatenate((settled, chosen)))


def settle(pairs: Pairs, edges: Indices) -> tuple[Indices, Indices]:
    """Part some pairs, given by their places, into those that share no cell with others of them, and the rest."""
    predicted, truth = pairs.predicted[edges], pairs.truth[edges]
    alone = (np.bincount(predicted)[predicted] == 1) & (np.bincount(truth)[truth] == 1)
    return edges[alone], edges[~alone]


def assign(predicted: Indices, truth: Indices, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose pairs that have no cell in common, with the largest sum of weights.

    Parameters
    ----------
    predicted, truth
        (p,) int64: the cells of each pair; no pair twice.
    weights
        (p,) float64, above 0.

    Returns
    -------
    ndarray
        (p,) bool: which are chosen.

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
    # A column of its own lets each row stay single; a constant added to all weights keeps the best choice.
    row = np.concatenate((rows, np.arange(count)))
    column = np.concatenate((columns, others + np.arange(count)))
    graph = csr_array((1 + np.concatenate((weights, np.zeros(count))), (row, column)), shape=(count, others + count))
    partner = min_weight_full_bipartite_matching(graph, maximize=True)[1]
    chosen: NDArray[np.bool_] = partner[rows] == columns
    return chosen
