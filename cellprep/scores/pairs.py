"""Which predicted and true cells share pixels, and how many: the sparse table that all scores follow from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.rle import Runs

__all__ = ["Pairs", "find_pairs"]

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a predicted and a true cell that share pixels, sorted by the predicted one, then the true one.

    Attributes
    ----------
    predicted, truth
        (p,) int64: the cells of each pair.
    pixels
        (p,) int64: how many pixels they share.
    predicted_areas, truth_areas
        (n,) and (m,) int64: pixels of each predicted and each true cell.
    """

    predicted: Indices
    truth: Indices
    pixels: Indices
    predicted_areas: Indices
    truth_areas: Indices

    @property
    def unions(self) -> Indices:
        """(p,) int64: pixels that either cell of a pair has."""
        return self.predicted_areas[self.predicted] + self.truth_areas[self.truth] - self.pixels

    @property
    def ious(self) -> NDArray[np.float64]:
        """(p,) float64: pixels that both cells have, over those that either has."""
        return self.pixels / self.unions


def find_pairs(predicted: Runs, truth: Runs) -> Pairs:
    """Find all pairs of a predicted and a true cell that share pixels.

    Runs are compared, not pixels, and only those that meet. Cells of the same side may overlap.

    Parameters
    ----------
    predicted, truth
        The cells of both sides, of the same shape and order.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> pairs = find_pairs(parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5)))
    >>> pairs.predicted, pairs.truth, pairs.pixels
    (array([0, 0, 1]), array([0, 1, 1]), array([2, 2, 2]))
    """
    ours, theirs = _by_start(predicted), _by_start(truth)
    # Of two runs that meet, one starts within the other, or both start together.
    outer, inner = _starting_within(ours, theirs, "left")
    inner_too, outer_too = _starting_within(theirs, ours, "right")
    our_runs, their_runs = np.concatenate((outer, outer_too)), np.concatenate((inner, inner_too))
    shared = np.minimum(ours.ends[our_runs], theirs.ends[their_runs])
    shared -= np.maximum(ours.starts[our_runs], theirs.starts[their_runs])
    keys = ours.owners[our_runs] * max(len(truth), 1) + theirs.owners[their_runs]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    pixels = np.add.reduceat(shared[order], first) if len(first) else np.zeros(0, np.int64)
    cells, others = np.divmod(keys[first], max(len(truth), 1))
    return Pairs(cells, others, pixels, predicted.areas, truth.areas)


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Runs sorted by where they start; `ends` are not included."""

    starts: Indices
    ends: Indices
    owners: Indices


def _by_start(runs: Runs) -> _Intervals:
    order = np.argsort(runs.starts, kind="stable")
    starts = runs.starts[order]
    return _Intervals(starts, starts + runs.lengths[order], runs.owners[order])


def _starting_within(outer: _Intervals, inner: _Intervals, side: str) -> tuple[Indices, Indices]:
    """Return all pairs of an outer run and an inner run that starts within it.

    One that starts with the outer run belongs to it if `side` is "left", and not if it is "right".
    """
    first = np.searchsorted(inner.starts, outer.starts, "left" if side == "left" else "right")
    counts = np.maximum(np.searchsorted(inner.starts, outer.ends, "left") - first, 0)
    before = np.cumsum(counts) - counts
    starting = np.repeat(first - before, counts) + np.arange(counts.sum())
    return np.repeat(np.arange(len(counts)), counts), starting
