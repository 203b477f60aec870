"""Counts of cells that are right and wrong without a matching one to one: Kaggle's, and merged and split cells.

The words are those of Coelho, Shariff and Murphy, Nuclear segmentation in microscope cell images: a hand-segmented
dataset and comparison of algorithms, ISBI 2009: cells of one side are assigned to the cell of the other that holds most
of their pixels, and a cell to which several are assigned is merged, or split.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.scores.pairs import Pairs

__all__ = ["find_merged", "find_split", "kaggle_precision"]


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
    """Say which predicted cells cover more than half of two or more true cells: (n,) bool."""
    covering = 2 * pairs.pixels > pairs.truth_areas[pairs.truth]
    flags: NDArray[np.bool_] = np.bincount(pairs.predicted[covering], minlength=len(pairs.predicted_areas)) > 1
    return flags


def find_split(pairs: Pairs) -> NDArray[np.bool_]:
    """Say which true cells two or more predicted ones lie in with more than half of their pixels: (m,) bool."""
    inside = 2 * pairs.pixels > pairs.predicted_areas[pairs.predicted]
    flags: NDArray[np.bool_] = np.bincount(pairs.truth[inside], minlength=len(pairs.truth_areas)) > 1
    return flags
