"""Every cell of an image by itself: with which one of the other side it was matched, and what became of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.rle import Runs
from cellprep.core.scores.counts import find_merged, find_split
from cellprep.core.scores.image import IOU_THRESHOLDS
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import Indices, find_pairs
from cellprep.core.scores.sides import both_sides, counting


class Match(NamedTuple):
    """A true cell and the predicted one that it was matched with, or either alone.

    Attributes
    ----------
    truth, predicted
        Their places among the cells of each side; None for none.
    iou
        Their IoU; of a cell alone the highest with any of the other side; NaN if it does not count.
    verdict
        ``matched``; of a true cell alone ``missed``, or ``split`` if it holds more than half of two or more predicted
        ones; of a predicted cell alone ``false``, or ``merged`` if it covers more than half of two or more true ones;
        ``ignored`` if it does not count, as `score_image` has it.
    """

    truth: int | None
    predicted: int | None
    iou: float
    verdict: str


def list_matches(predicted: Runs | ArrayLike, truth: Runs | ArrayLike, ignore: ArrayLike | None = None) -> list[Match]:
    """Return each true cell, matched or alone, in their order; then each predicted cell that was not matched.

    Parameters
    ----------
    predicted, truth, ignore
        As `cellprep.score_image`; cells match at an IoU of 0.5.

    Examples
    --------
    >>> list_matches([[1, 1, 1, 0], [0, 0, 0, 2]], [[5, 5, 0, 7], [0, 0, 0, 0]])
    [Match(truth=0, predicted=0, iou=0.6666666666666666, verdict='matched'), \
Match(truth=1, predicted=None, iou=0.0, verdict='missed'), \
Match(truth=None, predicted=1, iou=0.0, verdict='false')]
    """
    ours, theirs, region = both_sides(predicted, truth, ignore)
    kept, kept_truth = counting(ours, theirs, region)
    pairs = find_pairs(kept, kept_truth)
    matches = match_cells(pairs, IOU_THRESHOLDS[0])
    partner = dict(zip(pairs.truth[matches].tolist(), matches.tolist(), strict=True))
    found = [
        Match(cell, int(pairs.predicted[partner[cell]]), float(pairs.ious[partner[cell]]), "matched")
        if cell in partner
        else Match(cell, None, iou, verdict)
        for cell, iou, verdict in _alone(
            pairs.truth_areas, pairs.truth, pairs.ious, find_split(pairs), "split", "missed"
        )
    ]
    taken = set(pairs.predicted[matches].tolist())
    merged = find_merged(pairs)
    found += [
        Match(None, cell, iou, verdict)
        for cell, iou, verdict in _alone(pairs.predicted_areas, pairs.predicted, pairs.ious, merged, "merged", "false")
        if cell not in taken
    ]
    return found


def _alone(
    areas: Indices, cells: Indices, ious: NDArray[np.float64], flags: NDArray[np.bool_], flagged: str, other: str
) -> list[tuple[int, float, str]]:
    """Return of each cell of a side its place, its highest IoU, and the verdict if it is not matched."""
    highest = np.where(areas > 0, 0.0, np.nan)
    np.maximum.at(highest, cells, ious)
    verdicts = np.where(areas == 0, "ignored", np.where(flags, flagged, other))
    return list(zip(range(len(areas)), highest.tolist(), verdicts.tolist(), strict=True))
