"""COCO's mask AP: detections are matched greedily in descending order of confidence, and pooled over all images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores.pairs import Pairs

#: IoU thresholds as in ``pycocotools.cocoeval.Params``; not all are the floats nearest to their decimals.
COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Detections:
    """Predicted cells of one image as COCO evaluates them.

    Attributes
    ----------
    scores
        (n,) float64, descending.
    matched, ignored
        (10, n) bool: at each of `COCO_THRESHOLDS`, cells that match a true cell, and cells that do not count.
    truth
        Number of true cells.
    """

    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truth: int


def match_detections(pairs: Pairs, scores: NDArray[np.float64], shares: NDArray[np.float64]) -> Detections:
    """Match predicted cells, in descending order of score, to the free true cell with the highest IoU.

    Source: ``COCOeval.evaluateImg`` of pycocotools, over all areas, without a cap on the number of detections.

    Parameters
    ----------
    pairs
        Result of `find_pairs` for complete cells.
    scores
        (n,) float64: confidence of each predicted cell; ties keep their order.
    shares
        (n,) float64: share of each predicted cell in regions to ignore. Unmatched cells with a share of at least the
        threshold do not count.
    """
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ious = pairs.ious
    possible = np.flatnonzero(ious >= COCO_THRESHOLDS[0])
    # For equal IoUs COCO takes the last true cell.
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
    """Return the average precision at each of `COCO_THRESHOLDS`: (10,) float64, or None if there are no true cells.

    Precision is made monotonic in recall, and averaged at 101 recalls from 0 to 1.

    Source: ``COCOeval.accumulate`` of pycocotools, all categories as one.

    Parameters
    ----------
    images
        All images of the set; ties of scores keep the order of images.
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
