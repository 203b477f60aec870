"""Dense reimplementations of others' formulas, mask by mask, as references for cellprep.core.scores.

Each says where its original is. Masks are (n, H, W) bool, and `ious` are true cells by predicted ones.
"""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import encode
from scipy.optimize import linear_sum_assignment

PERCENTS = range(50, 100, 5)


def masks_of(labels):
    """Masks of all labels that occur."""
    return np.array([labels == label for label in np.unique(labels) if label], bool).reshape(-1, *labels.shape)


def overlap_matrix(truth, predicted):
    flat = [side.reshape(len(side), side.shape[1] * side.shape[2]).astype(np.float32) for side in (truth, predicted)]
    return (flat[0] @ flat[1].T).astype(int), truth.sum((1, 2))[:, None], predicted.sum((1, 2))[None]


def iou_matrix(truth, predicted):
    shared, areas, predicted_areas = overlap_matrix(truth, predicted)
    return shared / (areas + predicted_areas - shared)


def stardist(ious, threshold):
    """``stardist.matching.matching``: TP and the sum of the IoUs of the matches."""
    fewer = min(ious.shape)
    if not fewer:
        return 0, 0.0
    rows, columns = linear_sum_assignment(-(ious >= threshold).astype(float) - ious / (2 * fewer))
    good = ious[rows, columns] >= threshold
    return int(good.sum()), float(ious[rows, columns][good].sum())


def cellpose_true_positives(ious, threshold):
    """``cellpose.metrics._true_positive``, which leaves images without predicted cells out before."""
    if not min(ious.shape):
        return 0
    costs = -(ious >= threshold).astype(float) - ious / (2 * min(ious.shape))
    rows, columns = linear_sum_assignment(costs)
    return int((ious[rows, columns] >= threshold).sum())


def cellpose_aji(truth, predicted):
    """``cellpose.metrics.aggregated_jaccard_index`` of one image."""
    shared, ious = overlap_matrix(truth, predicted)[0], iou_matrix(truth, predicted)
    union = (truth.any(0) | predicted.any(0)).sum()
    if not union:
        return None
    if not min(ious.shape):
        return 0.0
    rows, columns = linear_sum_assignment(-(ious >= 0.5).astype(float) - ious / (2 * min(ious.shape)))
    return shared[rows, columns].sum() / union


def hovernet_aji(truth, predicted):
    """``get_fast_aji`` of HoVer-Net's metrics/stats_utils.py, except for 1e-6 in unions, which separates equal IoUs."""
    shared, areas, predicted_areas = overlap_matrix(truth, predicted)
    unions = areas + predicted_areas - shared
    if not len(truth) and not len(predicted):
        return None
    inter = union = 0
    used = set()
    for k in range(len(truth)):
        best = int(np.argmax(shared[k] / unions[k])) if len(predicted) else 0
        if len(predicted) and shared[k, best]:
            inter += shared[k, best]
            union += unions[k, best]
            used.add(best)
        else:
            union += areas[k, 0]
    union += sum(predicted_areas[0, k] for k in range(len(predicted)) if k not in used)
    return inter / union


def kaggle(ious):
    """The mean precision of one image: https://www.kaggle.com/theoviel/competition-metric-map-iou.

    What is divided by 0 is as in mle-bench's grade.py of the TGS salt identification challenge, of the same metric.
    """
    if ious.shape == (0, 0):
        return 1.0
    precisions = []
    for threshold in np.arange(0.5, 1.0, 0.05):
        matches = ious > threshold
        true_positives = np.sum(matches, axis=1) == 1
        false_positives = np.sum(matches, axis=0) == 0
        false_negatives = np.sum(matches, axis=1) == 0
        tp, fp, fn = true_positives.sum(), false_positives.sum(), false_negatives.sum()
        precisions.append(tp / (tp + fp + fn) if tp + fp + fn else 0)
    return np.mean(precisions)


def coco(images, classes=None):
    """COCOeval's AP, AP50 and AP75, the means over categories, without a cap.

    `images` are tuples of true masks, predicted masks, scores, and a region to ignore or None; `classes` the numbers,
    from 1, of the true and of the predicted ones of each image, if there are categories.
    """
    classes = classes or [([1] * len(true), [1] * len(predicted)) for true, predicted, *_ in images]
    known = {1, *(number for both in classes for side in both for number in side)}
    categories = [{"id": number, "name": str(number)} for number in sorted(known)]
    truth = {"images": [], "annotations": [], "categories": categories, "info": {}}
    results = []
    for number, ((true_masks, predicted, scores, ignore), (of_truth, of_ours)) in enumerate(
        zip(images, classes, strict=True), start=1
    ):
        height, width = true_masks.shape[1:]
        truth["images"].append({"id": number, "height": height, "width": width})
        crowds = [] if ignore is None else [ignore]
        cells = [(mask, 0, category) for mask, category in zip(true_masks, of_truth, strict=True)]
        for mask, crowd, category in [*cells, *((mask, 1, 1) for mask in crowds)]:
            annotation = {"image_id": number, "category_id": category, "id": len(truth["annotations"]) + 1}
            described = {"segmentation": rle(mask), "area": int(mask.sum()), "iscrowd": crowd}
            truth["annotations"].append({**annotation, **described})
        results += [
            {"image_id": number, "category_id": category, "segmentation": rle(mask), "score": float(score)}
            for mask, score, category in zip(predicted, scores, of_ours, strict=True)
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        ours = COCO()
        ours.dataset = truth
        ours.createIndex()
        evaluation = COCOeval(ours, ours.loadRes(results), "segm")
        evaluation.params.maxDets = [1_000_000]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    values = precision[:, :, (precision > -1).all(axis=(0, 1))].mean(axis=(1, 2))  # of categories with true cells
    return values.mean(), values[0], values[5]


def rle(mask):
    return encode(np.asfortranarray(mask.astype(np.uint8)))


def merged(truth, predicted):
    """Predicted cells to which two or more true ones are assigned, by the words of docs/scores.md."""
    shared, areas, _ = overlap_matrix(truth, predicted)
    ious = np.where(2 * shared > areas, iou_matrix(truth, predicted), 0)
    assigned = [int(np.argmax(row)) for row in ious if row.any()]
    return sum(assigned.count(k) > 1 for k in set(assigned))
