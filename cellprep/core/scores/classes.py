"""Scores by class, and the confusion of classes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.rle import Runs
from cellprep.core.scores.image import IOU_THRESHOLDS, ImageScore, score_image
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import find_pairs
from cellprep.core.scores.sides import both_sides, counting
from cellprep.core.scores.summary import summarise
from cellprep.errors import UsageError
from cellprep.text.wording import described

#: Class of the absent partner of a missed true cell or a false predicted cell.
NOBODY = ""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """The scores of one image by class. `summarise_by_class` turns those of many into metrics.

    Attributes
    ----------
    of_class
        Score of the cells of each class, in alphabetical order, ignoring cells of other classes.
    pairs
        Number of cells by (true class, predicted class), matched at an IoU of 0.5 regardless of class. An empty string
        is the class of the absent partner of a missed or false cell.
    """

    of_class: Mapping[str, ImageScore]
    pairs: Mapping[tuple[str, str], int]


def score_classes(
    predicted: Runs | ArrayLike,
    truth: Runs | ArrayLike,
    predicted_classes: Sequence[str],
    truth_classes: Sequence[str],
    ignore: ArrayLike | None = None,
    scores: ArrayLike | None = None,
) -> ClassScores:
    """Compare the predicted cells of an image with the true ones, class by class.

    Parameters
    ----------
    predicted, truth, ignore, scores
        As for `score_image`. Regions to ignore apply to all classes.
    predicted_classes, truth_classes
        (n,) and (m,): class of each cell; for a label image in ascending order of labels.

    Raises
    ------
    UsageError
        As for `score_image`; or if a cell has no class, or the numbers of classes and cells differ.

    Examples
    --------
    >>> found = score_classes([[1, 1, 0, 2]], [[1, 1, 0, 2]], ["round", "round"], ["round", "long"])
    >>> found.pairs[("long", "round")], found.of_class["round"].false, found.of_class["long"].missed
    (1, 1, 1)
    """
    ours, theirs, region = both_sides(predicted, truth, ignore)
    of_ours = _checked(predicted_classes, ours, "predicted")
    of_theirs = _checked(truth_classes, theirs, "true")
    values = None if scores is None else np.ravel(np.asarray(scores, float))
    of_class = {
        str(name): score_image(
            ours.take(of_ours == name),
            theirs.take(of_theirs == name),
            region,
            None if values is None else values[of_ours == name],
        )
        for name in np.union1d(of_ours, of_theirs)
    }
    kept, kept_truth = counting(ours, theirs, region)
    table = find_pairs(kept, kept_truth)
    matches = match_cells(table, IOU_THRESHOLDS[0])
    found, known = table.predicted[matches], table.truth[matches]
    pairs = Counter(zip(of_theirs[known].tolist(), of_ours[found].tolist(), strict=True))
    pairs.update((name, NOBODY) for name in np.delete(of_theirs, _and_blank(known, kept_truth)).tolist())
    pairs.update((NOBODY, name) for name in np.delete(of_ours, _and_blank(found, kept)).tolist())
    return ClassScores(of_class, dict(sorted(pairs.items())))


def _checked(classes: Sequence[str], cells: Runs, side: str) -> NDArray[np.str_]:
    """Return the class of each cell of a side."""
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise UsageError(f"classes of {side} cells are {described(classes)}: give a list with one string for each cell")
    names = [*classes]
    if len(names) != len(cells):
        raise UsageError(f"there are {len(names)} classes, but {len(cells)} {side} cells: each needs one")
    if wrong := [name for name in names if name is not None and not isinstance(name, str)]:
        raise UsageError(f"a class of {side} cells is {described(wrong[0])}: give strings")
    if missing := sum(not name for name in names):
        raise UsageError(f"{missing:,} of {len(cells):,} {side} cells have no class: each needs one")
    return np.array(names, np.str_)


def _and_blank(matched: NDArray[np.int64], cells: Runs) -> NDArray[np.int64]:
    """Return the indices of cells that are matched, or have no pixels that count."""
    return np.union1d(matched, np.flatnonzero(cells.areas == 0))


def summarise_by_class(images: Sequence[ClassScores]) -> dict[str, Any]:
    """Return the metrics of each class over a set of images, and the confusion of classes.

    Parameters
    ----------
    images
        Results of `score_classes` for one or more images.

    Returns
    -------
    dict
        ``by_class``: for each class the metrics of `summarise` over the images with cells of it on either side. Means
        over the classes with true cells: ``mean_ap50``, ``mean_pq``, and ``coco_map``, which is None unless every
        predicted cell has a score. ``class_accuracy``: share of matched cells with the right class; None without
        matches. ``confusion``: ``classes``, and ``table``, numbers of cells by true class (rows) and predicted class
        (columns); the last row counts false cells, the last column missed ones.

    Raises
    ------
    UsageError
        If there are no images.

    Examples
    --------
    >>> found = summarise_by_class([score_classes([[1, 0, 2]], [[1, 0, 2]], ["a", "a"], ["a", "b"])])
    >>> found["class_accuracy"], found["confusion"]["table"]
    (0.5, [[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    """
    if not images:
        raise UsageError("there are no scores by class: give the scores of at least one image")
    names = sorted({name for image in images for name in image.of_class})
    by_class = {name: summarise([image.of_class[name] for image in images if name in image.of_class]) for name in names}
    pairs: Counter[tuple[str, str]] = Counter()
    for image in images:
        pairs.update(image.pairs)
    matched = sum(number for (known, found), number in pairs.items() if known and found)
    annotated = [scores for scores in by_class.values() if scores["truth"]]
    sides = [*names, NOBODY]
    return {
        "by_class": by_class,
        "mean_ap50": _mean([scores["ap"]["0.50"] for scores in annotated]),
        "mean_pq": _mean([scores["pq"] for scores in annotated]),
        "coco_map": _mean([scores["coco_ap"] or 0.0 for scores in annotated]) if _has_scores(images) else None,
        "class_accuracy": sum(pairs[name, name] for name in names) / matched if matched else None,
        "confusion": {"classes": names, "table": [[pairs[known, found] for found in sides] for known in sides]},
    }


def _has_scores(images: Sequence[ClassScores]) -> bool:
    """Return whether there are predicted cells and all have scores."""
    found = [score for image in images for score in image.of_class.values()]
    return any(score.predicted for score in found) and all(score.detections is not None for score in found)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
