"""Every cell of an image, with its match and outcome."""

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
    """A true cell and its matching predicted cell, or either one alone.

    Attributes
    ----------
    truth, predicted
        Indices of the cells on their sides; None if absent.
    iou
        Their IoU; for an unmatched cell the highest IoU with any cell of the other side; NaN if it does not count.
    verdict
        ``matched``; for an unmatched true cell ``missed``, or ``split`` if it contains more than half of two or more
        predicted cells; for an unmatched predicted cell ``false``, or ``merged`` if it covers more than half of two or
        more true cells; ``ignored`` if it does not count, as in `score_image`.
    """

    truth: int | None
    predicted: int | None
    iou: float
    verdict: str


def list_matches(predicted: Runs | ArrayLike, truth: Runs | ArrayLike, ignore: ArrayLike | None = None) -> list[Match]:
    """Return all true cells, matched or not, in order; then all unmatched predicted cells.

    Parameters
    ----------
    predicted, truth, ignore
        As for `cellprep.score_image`; cells match at an IoU of 0.5.

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
    """Return the index, highest IoU, and verdict if unmatched, of each cell of a side."""
    highest = np.where(areas > 0, 0.0, np.nan)
    np.maximum.at(highest, cells, ious)
    verdicts = np.where(areas == 0, "ignored", np.where(flags, flagged, other))
    return list(zip(range(len(areas)), highest.tolist(), verdicts.tolist(), strict=True))
