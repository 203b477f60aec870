"""The outcome of every cell of an image, for display."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.rle import Runs
from cellprep.core.scores.counts import find_merged, find_split
from cellprep.core.scores.image import IOU_THRESHOLDS
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import find_pairs
from cellprep.core.scores.sides import both_sides, counting


@dataclass(frozen=True, slots=True)
class CellVerdicts:
    """Outcomes of all cells of one image.

    Attributes
    ----------
    counts_predicted, counts_truth
        (n,) and (m,) bool: whether a cell counts, as in `score_image`. If not, the other attributes are meaningless.
    false, missed
        (n,) and (m,) bool: predicted and true cells without a match at an IoU of 0.5.
    merged, split
        (n,) and (m,) bool: predicted cells that cover more than half of two or more true cells, and true cells that
        contain more than half of two or more predicted cells.
    """

    counts_predicted: NDArray[np.bool_]
    counts_truth: NDArray[np.bool_]
    false: NDArray[np.bool_]
    missed: NDArray[np.bool_]
    merged: NDArray[np.bool_]
    split: NDArray[np.bool_]


def judge_cells(predicted: Runs | ArrayLike, truth: Runs | ArrayLike, ignore: ArrayLike | None = None) -> CellVerdicts:
    """Return for each cell of an image the outcomes that `score_image` counts.

    Parameters
    ----------
    predicted, truth, ignore
        As for `score_image`.

    Examples
    --------
    >>> verdicts = judge_cells([[1, 1, 1, 0], [0, 0, 0, 2]], [[5, 5, 7, 0], [0, 0, 0, 0]])
    >>> verdicts.false, verdicts.missed, verdicts.merged
    (array([False,  True]), array([False,  True]), array([ True, False]))
    """
    ours, theirs, region = both_sides(predicted, truth, ignore)
    kept, kept_truth = counting(ours, theirs, region)
    pairs = find_pairs(kept, kept_truth)
    matches = match_cells(pairs, IOU_THRESHOLDS[0])
    counts, counts_truth = kept.areas > 0, kept_truth.areas > 0
    false, missed = counts.copy(), counts_truth.copy()
    false[pairs.predicted[matches]] = False
    missed[pairs.truth[matches]] = False
    return CellVerdicts(counts, counts_truth, false, missed, find_merged(pairs), find_split(pairs))
