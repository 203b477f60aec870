"""COCO's mask AP: detections are matched greedily, the surest first, and judged over the whole set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Pairs

#: The IoUs as ``pycocotools.cocoeval.Params`` has them, which are not all the nearest numbers to their decimals.
COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Detections:
    """The predicted cells of one image as COCO judges them.

    Attributes
    ----------
    scores
        (n,) float64, falling.
    matched, ignored
        (10, n) bool: at each of `COCO_THRESHOLDS`, which match a true cell, and which do not count.
    truth
        Number of true cells.
    """

    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truth: int


def match_detections(pairs: Pairs, scores: NDArray[np.float64], shares: NDArray[np.float64]) -> Detections:
    """Match each predicted cell, those with the highest scores first, to the free true cell with the highest IoU.

    Source: ``COCOeval.evaluateImg`` of pycocotools, over all areas, without a cap on the number of detections.

    Parameters
    ----------
    pairs
        From `find_pairs`, of cells with all their pixels.
    scores
        (n,) float64: how sure each predicted cell is; of equals the first comes first.
    shares
        (n,) float64: which share of each predicted cell lies in regions to ignore. A cell that matches none, and of
        which at least the threshold lies there, does not count.
    """
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ious = pairs.ious
    possible = np.flatnonzero(ious >= COCO_THRESHOLDS[0])
    # Of equal IoUs COCO takes the last true cell.
    sequence = possible[np.lexsort((-pairs.truth[possible], -ious[possible], rank[pairs.predicted[possible]]))]
    matched = np.zeros((len(COCO_THRESHOLDS), len(scores)), bool)
    for at, threshold in zip(matched, COCO_THRESHOLDS, strict=True):
        edges = sequence[ious[sequence] >= threshold]
        taken = set()
        for place, cell in zip(rank[pairs.predicted[edges]].tolist(), pairs.truth[edges].tolist(), strict=True):
            if not at[place] and cell not in taken:
                at[place] = True
                taken.add(cell)
    ignored = ~matched & (shares[order] >= COCO_THRESHOLDS[:, np.newaxis])
    return Detections(scores[order], matched, ignored, len(pairs.truth_areas))


def average_precisions(images: Sequence[Detections]) -> NDArray[np.float64] | None:
    """Return the average precision at each of `COCO_THRESHOLDS`: (10,) float64, or None if there is no true cell.

    Precision is made to fall with recall, and its mean taken at 101 recalls from 0 to 1.

    Source: ``COCOeval.accumulate`` of pycocotools, all categories as one.

    Parameters
    ----------
    images
        All images of the set; of equal scores, those of the first image come first.
    """
    truth = sum(image.truth for image in images)
    if not truth:
        return None
    order = np.argsort(-np.concatenate([image.scores for image in images]), kind="stable")
    matched = np.concatenate([image.matched for image in images], axis=1)[:, order]
    ignored = np.concatenate([image.ignored for image in images], axis=1)[:, order]
    right = np.cumsum(matched, axis=1)
    wrong = np.cumsum(~matched & ~ignored, axis=1)
    precision = right / (right + wrong + np.spacing(1))
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.pad(falling, ((0, 0), (0, 1)))  # recalls that are never reached
    places = [np.searchsorted(recall, _RECALLS, side="left") for recall in right / truth]
    values: NDArray[np.float64] = np.take_along_axis(padded, np.array(places), axis=1).mean(axis=1)
    return values
