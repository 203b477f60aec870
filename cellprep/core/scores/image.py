"""Scores of one image: the counts from which the scores of a set are computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_numbers
from cellprep.core.rle import Runs
from cellprep.core.scores.counts import find_merged, find_split, kaggle_precision
from cellprep.core.scores.detections import Detections, match_detections
from cellprep.core.scores.jaccard import aggregated_jaccard, cellpose_jaccard
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import find_pairs
from cellprep.core.scores.sides import both_sides, counting
from cellprep.errors import UsageError

#: IoU thresholds for matches: 0.50 to 0.95.
IOU_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The counts of one image. `cellprep.core.scores.summarise` turns the scores of many into metrics.

    Attributes
    ----------
    truth, predicted
        Numbers of true and predicted cells with at least one pixel that counts.
    matched
        (10,) number of matched cells at each of `IOU_THRESHOLDS`.
    matched_iou
        Sum of the IoUs of cells matched at 0.5.
    kaggle
        (10,) TP / (TP + FP + FN) in Kaggle's definition, at IoUs above each of `IOU_THRESHOLDS`.
    aji, aji_cellpose
        The aggregated Jaccard index, and cellpose's variant of it; None if there are no cells.
    merged
        Number of predicted cells that cover more than half of two or more true cells.
    split
        Number of true cells that contain more than half of two or more predicted cells.
    blank_truth, blank_predicted
        Numbers of excluded cells: none of their pixels count or, for predicted cells, only the smaller part.
    detections
        The predicted cells as COCO evaluates them; None if they have no scores.
    """

    truth: int
    predicted: int
    matched: tuple[int, ...]
    matched_iou: float
    kaggle: tuple[float, ...]
    aji: float | None
    aji_cellpose: float | None
    merged: int
    split: int
    blank_truth: int
    blank_predicted: int
    detections: Detections | None

    def __repr__(self) -> str:
        return (
            f"<ImageScore: {self.truth:,} true and {self.predicted:,} predicted cells, {self.matched[0]:,} matched "
            f"at an IoU of 0.5; Kaggle's mean precision {self.kaggle_precision:.3f}>"
        )

    @property
    def kaggle_precision(self) -> float:
        """Mean of Kaggle's precisions over all thresholds."""
        return float(np.mean(self.kaggle))

    @property
    def missed(self) -> int:
        """Number of true cells without a match at an IoU of 0.5."""
        return self.truth - self.matched[0]

    @property
    def false(self) -> int:
        """Number of predicted cells without a match at an IoU of 0.5."""
        return self.predicted - self.matched[0]


#: Score of an image without true or predicted cells.
NO_CELLS = ImageScore(0, 0, (0,) * 10, 0.0, (1.0,) * 10, None, None, 0, 0, 0, 0, None)


def score_image(
    predicted: Runs | ArrayLike,
    truth: Runs | ArrayLike,
    ignore: ArrayLike | None = None,
    scores: ArrayLike | None = None,
) -> ImageScore:
    """Compare the predicted cells of an image with the true ones.

    Parameters
    ----------
    predicted, truth
        The cells of each side: a label image, (H, W) integers, 0 = background; or runs, or
        masks, (n, H, W) bool, which may overlap.
    ignore
        (H, W), nonzero on pixels to ignore. These are removed from the cells of both sides. Cells without other pixels
        are excluded, as are unmatched predicted cells with more than half of their pixels there. COCO's AP uses
        complete cells and COCO's rule for crowds instead.
    scores
        (n,) confidence of each predicted cell, for COCO's AP; for a label image in ascending order of labels.

    Raises
    ------
    UsageError
        If the shapes of the sides differ, the number of scores differs from that of cells, or an argument is invalid.

    Examples
    --------
    Two true cells. One is found with three of its four pixels, the other is missed:

    >>> score = score_image([[1, 1, 0, 0], [0, 1, 0, 0]], [[5, 5, 0, 7], [5, 5, 0, 7]])
    >>> score.truth, score.predicted, score.missed, score.matched
    (2, 1, 1, (1, 1, 1, 1, 1, 1, 0, 0, 0, 0))

    An IoU of exactly 0.75 is a match, but not for Kaggle, which requires a higher IoU:

    >>> score.kaggle
    (0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
    """
    ours, theirs, region = both_sides(predicted, truth, ignore)
    values = None if scores is None else np.ravel(as_numbers(scores, "scores", "(n,) numbers")).astype(float)
    if values is not None and len(values) != len(ours):
        raise UsageError(f"there are {len(values)} scores, but {len(ours)} predicted cells: each needs one")
    kept, kept_truth = (side.take(side.areas > 0) for side in counting(ours, theirs, region))
    pairs = find_pairs(kept, kept_truth)
    matches = [match_cells(pairs, threshold) for threshold in IOU_THRESHOLDS]
    return ImageScore(
        truth=len(kept_truth),
        predicted=len(kept),
        matched=tuple(map(len, matches)),
        matched_iou=float(pairs.ious[matches[0]].sum()),
        kaggle=tuple(kaggle_precision(pairs, threshold) for threshold in IOU_THRESHOLDS),
        aji=aggregated_jaccard(pairs),
        aji_cellpose=cellpose_jaccard(pairs, kept, kept_truth),
        merged=int(find_merged(pairs).sum()),
        split=int(find_split(pairs).sum()),
        blank_truth=len(theirs) - len(kept_truth),
        blank_predicted=len(ours) - len(kept),
        detections=_detections(ours, theirs, region, values),
    )


def _detections(
    predicted: Runs, truth: Runs, ignore: NDArray[np.bool_] | None, scores: NDArray[np.float64] | None
) -> Detections | None:
    """Return COCO's evaluation of the predicted cells, including their pixels in regions to ignore."""
    if scores is None and len(predicted):
        return None
    shown = predicted.areas > 0
    cells, true_cells = predicted.take(shown), truth.take(truth.areas > 0)
    shares = np.zeros(len(cells)) if ignore is None else cells.pixels_in(ignore) / cells.areas
    values = (np.zeros(0) if scores is None else scores)[shown]
    return match_detections(find_pairs(cells, true_cells), values, shares)
