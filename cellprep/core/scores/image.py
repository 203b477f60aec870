"""The score of one image: small numbers, from which those of a whole set follow."""

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

#: The IoUs from which on cells match: 0.50 to 0.95.
IOU_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The counts of one image. `cellprep.core.scores.summarise` turns the scores of many into metrics.

    Attributes
    ----------
    truth, predicted
        Numbers of true and of predicted cells with at least one pixel that counts.
    matched
        (10,) at each of `IOU_THRESHOLDS`, the number of predicted cells matched to a true one.
    matched_iou
        Sum of the IoUs of those matched at 0.5.
    kaggle
        (10,) at each of `IOU_THRESHOLDS`, TP / (TP + FP + FN) as Kaggle counts them, at an IoU above it.
    aji, aji_cellpose
        The aggregated Jaccard index, and what cellpose calls so; None if there is no cell at all.
    merged
        Number of predicted cells that each cover more than half of two or more true cells.
    split
        Number of true cells that each hold more than half of two or more predicted cells.
    blank_truth, blank_predicted
        Numbers of cells left out, because none of their pixels counts, or, of predicted ones, only the lesser part.
    detections
        The predicted cells as COCO judges them; None if they have no scores.
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
        """The mean of Kaggle's precisions over its thresholds."""
        return float(np.mean(self.kaggle))

    @property
    def missed(self) -> int:
        """Number of true cells without a match at an IoU of 0.5."""
        return self.truth - self.matched[0]

    @property
    def false(self) -> int:
        """Number of predicted cells without a match at an IoU of 0.5."""
        return self.predicted - self.matched[0]


#: The score of an image without a cell on either side.
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
        The cells of each side, the predicted ones first: a label image, (H, W) integers, 0 = background; or runs, or
        masks, (n, H, W) bool, which may overlap.
    ignore
        (H, W), not 0 on pixels that count for nobody. These are taken from the cells of both sides; cells that have no
        others are left out, and so are predicted cells with more than half of their pixels there that match no true
        cell. COCO's AP alone sees cells whole, and goes by COCO's rule for crowds.
    scores
        (n,) how sure each predicted cell is, for COCO's AP; a label image's cells are in ascending order of labels.

    Raises
    ------
    UsageError
        If the sides differ in shape, the scores in number from the cells, or an argument is none of these.

    Examples
    --------
    Two true cells, one found with three of its four pixels, the other missed:

    >>> score = score_image([[1, 1, 0, 0], [0, 1, 0, 0]], [[5, 5, 0, 7], [5, 5, 0, 7]])
    >>> score.truth, score.predicted, score.missed, score.matched
    (2, 1, 1, (1, 1, 1, 1, 1, 1, 0, 0, 0, 0))

    At an IoU of 0.75 a match counts, but not for Kaggle, who wants more than that:

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
    """Return what COCO makes of the predicted cells, with their pixels in regions to ignore."""
    if scores is None and len(predicted):
        return None
    shown = predicted.areas > 0
    cells, true_cells = predicted.take(shown), truth.take(truth.areas > 0)
    shares = np.zeros(len(cells)) if ignore is None else cells.pixels_in(ignore) / cells.areas
    values = (np.zeros(0) if scores is None else scores)[shown]
    return match_detections(find_pairs(cells, true_cells), values, shares)
