"""Counts without one-to-one matching: Kaggle's precision, and merged and split cells.

Terms are those of Coelho, Shariff and Murphy, Nuclear segmentation in microscope cell images: a hand-segmented dataset
and comparison of algorithms, ISBI 2009: cells of one side are assigned to the cell of the other side that contains most
of their pixels. A cell to which several are assigned is merged, or split.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Indices, Pairs


def kaggle_precision(pairs: Pairs, threshold: float) -> float:
    """Return TP / (TP + FP + FN) of one image; a true cell with several matches is neither found nor missed.

    The published implementation of the metric, https://www.kaggle.com/theoviel/competition-metric-map-iou, uses
    ``matches = ious > threshold``, with true cells as rows and predicted cells as columns: TP is the number of rows
    with exactly one match, FN of rows with none, FP of columns with none. If all are zero, an image without any cell
    scores 1 and others 0, as in ``grade.py`` of mle-bench for another competition with this metric, TGS salt
    identification.
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

    Each true cell is assigned to the predicted cell that covers more than half of it; if there are several, which then
    overlap, to the one with the highest IoU. Predicted cells with two or more assigned true cells are merged.
    """
    covering = np.flatnonzero(2 * pairs.pixels > pairs.truth_areas[pairs.truth])
    best = _best(pairs.truth[covering], pairs.ious[covering])
    return _several(pairs.predicted[covering][best], len(pairs.predicted_areas))


def find_split(pairs: Pairs) -> NDArray[np.bool_]:
    """Return which true cells are split: (m,) bool.

    Each predicted cell is assigned to the true cell that contains more than half of it; if there are several, which
    then overlap, to the one with the highest IoU. True cells with two or more assigned predicted cells are split.
    """
    inside = np.flatnonzero(2 * pairs.pixels > pairs.predicted_areas[pairs.predicted])
    best = _best(pairs.predicted[inside], pairs.ious[inside])
    return _several(pairs.truth[inside][best], len(pairs.truth_areas))


def _best(cells: Indices, ious: NDArray[np.float64]) -> Indices:
    """Return the indices of the pairs with the highest IoU of each cell; the first in a tie."""
    order = np.lexsort((-ious, cells))
    return order[np.flatnonzero(np.diff(cells[order], prepend=-1))]


def _several(cells: Indices, count: int) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.bincount(cells, minlength=count) > 1
    return flags
