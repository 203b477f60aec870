"""The sparse table of intersections of predicted and true cells, from which all scores are computed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs
from cellprep.core.rle.runs import RUNS_AT_ONCE

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a predicted and a true cell that share pixels, sorted by predicted, then true cell.

    Attributes
    ----------
    predicted, truth
        (p,) int64: the cells of each pair.
    pixels
        (p,) int64: number of shared pixels.
    predicted_areas, truth_areas
        (n,) and (m,) int64: number of pixels of each predicted and each true cell.
    """

    predicted: Indices
    truth: Indices
    pixels: Indices
    predicted_areas: Indices
    truth_areas: Indices

    @property
    def unions(self) -> Indices:
        """(p,) int64: pixels in the union of each pair."""
        return self.predicted_areas[self.predicted] + self.truth_areas[self.truth] - self.pixels

    @property
    def ious(self) -> NDArray[np.float64]:
        """(p,) float64: intersection over union of each pair."""
        return self.pixels / self.unions


def find_pairs(predicted: Runs, truth: Runs) -> Pairs:
    """Find all pairs of a predicted and a true cell that share pixels.

    Only runs that intersect are compared, not pixels. Cells of the same side may overlap.

    Parameters
    ----------
    predicted, truth
        The cells of both sides, with the same shape and order.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> pairs = find_pairs(parse_rle(["1 4", "6 3"], (2, 5)), parse_rle(["2 2", "3 5"], (2, 5)))
    >>> pairs.predicted, pairs.truth, pairs.pixels
    (array([0, 0, 1]), array([0, 1, 1]), array([2, 2, 2]))
    """
    ours, theirs = _by_start(predicted), _by_start(truth)
    many = max(len(truth), 1)
    # Of two intersecting runs, one starts within the other, or both start together.
    found = [_shared_pixels(piece, theirs, "left", many, 1) for piece in ours.pieces()]
    found += [_shared_pixels(piece, ours, "right", 1, many) for piece in theirs.pieces()]
    keys, pixels = _summed(*map(np.concatenate, zip(*found, strict=True)))
    cells, others = np.divmod(keys, many)
    return Pairs(cells, others, pixels, predicted.areas, truth.areas)


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Runs sorted by start; `ends` are exclusive."""

    starts: Indices
    ends: Indices
    owners: Indices

    def pieces(self) -> Iterator["_Intervals"]:
        """Yield all runs in batches, to limit memory."""
        for begin in range(0, max(len(self.starts), 1), RUNS_AT_ONCE):
            piece = slice(begin, begin + RUNS_AT_ONCE)
            yield _Intervals(self.starts[piece], self.ends[piece], self.owners[piece])


def _by_start(runs: Runs) -> _Intervals:
    order = np.argsort(runs.starts, kind="stable")
    starts = runs.starts[order]
    return _Intervals(starts, starts + runs.lengths[order], runs.owners[order])


def _shared_pixels(outer: _Intervals, inner: _Intervals, side: str, step: int, inner_step: int) -> tuple[Indices, ...]:
    """Return the pixels shared by runs and those that start within them, by pair of owners encoded as one number."""
    first, second = _starting_within(outer, inner, side)
    shared = np.minimum(outer.ends[first], inner.ends[second]) - inner.starts[second]
    return _summed(step * outer.owners[first] + inner_step * inner.owners[second], shared)


def _summed(keys: Indices, values: Indices) -> tuple[Indices, Indices]:
    """Return the unique keys in ascending order, and the sum of the values of each."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(values[order], first) if len(first) else np.zeros(0, np.int64)
    return keys[first], sums


def _starting_within(outer: _Intervals, inner: _Intervals, side: str) -> tuple[Indices, Indices]:
    """Return all pairs of an outer run and an inner run that starts within it.

    An inner run that starts with the outer run is included if `side` is "left", and excluded if it is "right".
    """
    first = np.searchsorted(inner.starts, outer.starts, "left" if side == "left" else "right")
    counts = np.maximum(np.searchsorted(inner.starts, outer.ends, "left") - first, 0)
    before = np.cumsum(counts) - counts
    starting = np.repeat(first - before, counts) + np.arange(counts.sum())
    return np.repeat(np.arange(len(counts)), counts), starting
