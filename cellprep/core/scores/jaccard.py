"""The aggregated Jaccard index, as published and as computed by cellpose."""

import numpy as np

from cellprep.core.rle import Runs
from cellprep.core.rle.runs import RUNS_AT_ONCE
from cellprep.core.scores.matching import assign, settle
from cellprep.core.scores.pairs import Pairs


def aggregated_jaccard(pairs: Pairs) -> float | None:
    """Return the aggregated Jaccard index.

    Each true cell is paired with the predicted cell of the highest IoU, the first in a tie, which may be paired
    repeatedly. The index is the sum of intersections, divided by the sum of unions plus the pixels of true cells
    without an intersection and of predicted cells without a pair.

    Source: Kumar et al., A Dataset and a Technique for Generalized Nuclear Segmentation for Computational Pathology,
    IEEE Transactions on Medical Imaging 36 (2017), algorithm 1; ``get_fast_aji`` of HoVer-Net.

    Parameters
    ----------
    pairs
        Result of `find_pairs`.

    Returns
    -------
    float or None
        None if there are no cells.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> from cellprep.core.scores import find_pairs
    >>> aggregated_jaccard(find_pairs(parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5))))
    0.4
    """
    if not len(pairs.predicted_areas) and not len(pairs.truth_areas):
        return None
    order = np.lexsort((pairs.predicted, -pairs.ious, pairs.truth))
    best = order[np.flatnonzero(np.diff(pairs.truth[order], prepend=-1))]
    union = pairs.unions[best].sum()
    union += np.delete(pairs.truth_areas, pairs.truth[best]).sum()
    union += np.delete(pairs.predicted_areas, pairs.predicted[best]).sum()
    return float(pairs.pixels[best].sum() / union)


def cellpose_jaccard(pairs: Pairs, predicted: Runs, truth: Runs) -> float | None:
    """Return cellpose's variant of the aggregated Jaccard index.

    Cells are matched one to one: as many as possible with an IoU of at least 0.5, with the largest sum of IoUs,
    including lower ones. The index is the number of pixels shared by matched cells, divided by the number of pixels of
    any cell. If several matchings are equally good, cellpose may choose another one.

    Source: ``metrics.aggregated_jaccard_index`` of cellpose 4.

    Parameters
    ----------
    pairs
        Result of `find_pairs`.
    predicted, truth
        The cells of both sides, as passed to it.

    Returns
    -------
    float or None
        None if there are no cells.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> from cellprep.core.scores import find_pairs
    >>> predicted, truth = parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5))
    >>> cellpose_jaccard(find_pairs(predicted, truth), predicted, truth)
    0.5
    """
    covered = _covered(predicted, truth)
    if not covered:
        return None
    # The only possible match of both of its cells is in every optimal assignment; only the rest has to be solved.
    sure, _ = settle(pairs, np.flatnonzero(pairs.ious >= 0.5))
    free = ~np.isin(pairs.predicted, pairs.predicted[sure]) & ~np.isin(pairs.truth, pairs.truth[sure])
    rest = np.flatnonzero(free)
    fewer = min(len(pairs.predicted_areas), len(pairs.truth_areas))
    weights = (pairs.ious[rest] >= 0.5) + pairs.ious[rest] / (2 * max(fewer, 1))
    chosen = rest[assign(pairs.predicted[rest], pairs.truth[rest], weights)]
    return float((pairs.pixels[sure].sum() + pairs.pixels[chosen].sum()) / covered)


def _covered(predicted: Runs, truth: Runs) -> int:
    """Count the pixels that belong to any cell."""
    starts = np.concatenate((predicted.starts, truth.starts))
    lengths = np.concatenate((predicted.lengths, truth.lengths))
    order = np.argsort(starts, kind="stable")
    covered = end = 0
    for begin in range(0, len(order), RUNS_AT_ONCE):
        piece = order[begin : begin + RUNS_AT_ONCE]
        reached = np.maximum.accumulate(np.append(end, starts[piece] + lengths[piece]))
        covered += int(np.maximum(reached[1:] - np.maximum(starts[piece], reached[:-1]), 0).sum())
        end = int(reached[-1])
    return covered
