"""The scores of a set of images."""

from collections.abc import Sequence
from typing import Any

from cellprep.core.scores.detections import average_precisions
from cellprep.core.scores.image import IOU_THRESHOLDS, ImageScore
from cellprep.errors import UsageError
from cellprep.text.wording import described


def summarise(scores: Sequence[ImageScore] | ImageScore) -> dict[str, Any]:
    """Return the metrics of a set of images, named as by their authors.

    Parameters
    ----------
    scores
        Results of `score_image`: one, or several in a reproducible order.

    Returns
    -------
    dict
        JSON values: ``kaggle_map``; ``ap`` and ``f1`` by IoU; ``pq``, ``aji``, ``aji_cellpose``; ``coco_ap``,
        ``coco_ap50``, ``coco_ap75``; and the numbers ``images``, ``truth``, ``predicted``, ``matched``, ``missed``,
        ``false``, ``merged``, ``split``. Metrics that are undefined are None. docs/scores.md defines each of them.

    Raises
    ------
    UsageError
        If `scores` are empty or have the wrong type.

    Examples
    --------
    >>> from cellprep.core.scores import score_image
    >>> found = summarise([score_image([[1, 1, 0]], [[1, 1, 0]]), score_image([[0, 0, 0]], [[0, 2, 2]])])
    >>> found["kaggle_map"], found["ap"]["0.50"], round(found["f1"]["0.50"], 3), found["missed"]
    (0.5, 0.5, 0.667, 1)
    """
    scores = [scores] if isinstance(scores, ImageScore) else scores
    if not isinstance(scores, Sequence) or not all(isinstance(score, ImageScore) for score in scores) or not scores:
        raise UsageError(
            f"scores must be ImageScores, as score_image returns them, one or more: not {described(scores)}"
        )
    truth, predicted = sum(score.truth for score in scores), sum(score.predicted for score in scores)
    matched = [sum(numbers) for numbers in zip(*(score.matched for score in scores), strict=True)]
    names = [f"{threshold:.2f}" for threshold in IOU_THRESHOLDS]
    return {
        "images": len(scores),
        "kaggle_map": _mean([score.kaggle_precision for score in scores]),
        "ap": {name: _share(found, truth + predicted - found) for name, found in zip(names, matched, strict=True)},
        "f1": {name: _share(2 * found, truth + predicted) for name, found in zip(names, matched, strict=True)},
        "pq": _share(2 * sum(score.matched_iou for score in scores), truth + predicted),
        "aji": _mean([score.aji for score in scores if score.aji is not None]),
        "aji_cellpose": _mean([score.aji_cellpose for score in scores if score.aji_cellpose is not None]),
        **_coco(scores),
        "truth": truth,
        "predicted": predicted,
        "matched": matched[0],
        "missed": sum(score.missed for score in scores),
        "false": sum(score.false for score in scores),
        "merged": sum(score.merged for score in scores),
        "split": sum(score.split for score in scores),
    }


def summarise_by_type(scores: Sequence[ImageScore], cell_types: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of a set of images, in total and by cell type.

    Parameters
    ----------
    scores
        One or more results of `score_image`.
    cell_types
        The type of each image; an empty string for no type.

    Returns
    -------
    dict
        ``{"overall": {...}, "by_cell_type": {type: {...}}, "images": n}``, with parts as returned by `summarise`.
    """
    of_type = {
        name: [score for score, its in zip(scores, cell_types, strict=True) if its == name]
        for name in sorted(set(cell_types) - {""})
    }
    return {
        "overall": summarise(scores),
        "by_cell_type": {name: summarise(members) for name, members in of_type.items()},
        "images": len(scores),
    }


def _share(part: float, whole: float) -> float:
    """Return a ratio; 0 if the denominator is 0, as in StarDist."""
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _coco(scores: Sequence[ImageScore]) -> dict[str, float | None]:
    """Return COCO's average precisions; None if any predicted cells have no scores."""
    found = [score.detections for score in scores if score.detections is not None]
    told = len(found) == len(scores) and any(score.predicted for score in scores)
    values = average_precisions(found) if told else None
    if values is None:
        return {"coco_ap": None, "coco_ap50": None, "coco_ap75": None}
    return {"coco_ap": float(values.mean()), "coco_ap50": float(values[0]), "coco_ap75": float(values[5])}
