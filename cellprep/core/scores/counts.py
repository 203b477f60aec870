"""Counts of cells that are right and wrong without a matching one to one: Kaggle's, and merged and split cells.

The words are those of Coelho, Shariff and Murphy, Nuclear segmentation in microscope cell images: a hand-segmented
dataset and comparison of algorithms, ISBI 2009: cells of one side are assigned to the cell of the other that holds most
of their pixels, and a cell to which several are assigned is merged, or split.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Indices, Pairs


def kaggle_precision(pairs: Pairs, threshold: float) -> float:
    """Return TP / (TP + FP + FN) of one image, where a true cell that matches several is neither found nor missed.

    The published restatement of the metric, https://www.kaggle.com/theoviel/competition-metric-map-iou, counts with
    ``matches = ious > threshold``, true cells by predicted ones: TP where a row has exactly one, FN where it has none,
    FP where a column has none. Where nothing is counted, an image without any cell is right, 1, and every other wrong,
    0: so has it ``grade.py`` of mle-bench for another competition with this metric, TGS salt identification.
    """
    good = pairs.ious > threshold
    of_truth = np.bincount(pairs.truth[good], minlength=len(pairs.truth_areas))
    of_predicted = np.bincount(pairs.predicted[good], minlength=len(pairs.predicted_areas))
    found = int((of_truth == 1).sum())
    wrong = int((of_truth == 0).sum() + (of_predicted == 0).sum())
    if found + wrong:
        return found / (found + wrong)
    return 0.0 if len(of_truth) or len(of_predicted) else 1.0


def find_merged(pairs: Pairs) -> NDArray[np.bool_]:
    """Return which predicted cells are merged: (n,) bool.

    Each true cell is assigned to the predicted one that covers more than half of it; of several, which then overlap, to
    that with the highest IoU. Predicted cells to which two or more true ones are assigned are merged.
    """
    covering = np.flatnonzero(2 * pairs.pixels > pairs.truth_areas[pairs.truth])
    best = _best(pairs.truth[covering], pairs.ious[covering])
    return _several(pairs.predicted[covering][best], len(pairs.predicted_areas))


def find_split(pairs: Pairs) -> NDArray[np.bool_]:
    """Return which true cells are split: (m,) bool.

    Each predicted cell is assigned to the true one that more than half of it lies in; of several, which then overlap,
    to that with the highest IoU. True cells to which two or more predicted ones are assigned are split.
    """
    inside = np.flatnonzero(2 * pairs.pixels > pairs.predicted_areas[pairs.predicted])
    best = _best(pairs.predicted[inside], pairs.ious[inside])
    return _several(pairs.truth[inside][best], len(pairs.truth_areas))


def _best(cells: Indices, ious: NDArray[np.float64]) -> Indices:
    """Return the places of the pairs with the highest IoU of each cell, the first of equals."""
    order = np.lexsort((-ious, cells))
    return order[np.flatnonzero(np.diff(cells[order], prepend=-1))]


def _several(cells: Indices, count: int) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.bincount(cells, minlength=count) > 1
    return flags
