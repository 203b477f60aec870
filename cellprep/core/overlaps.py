"""Overlapping annotations, and the sizes of their overlaps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs, WindowedRuns

_AT_ONCE = 1 << 24  # pixels of annotations per batch; each takes some 40 bytes of memory


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The pairs of annotations that share pixels.

    Attributes
    ----------
    first, second
        (p,) int64: the annotations of each pair, the earlier first; sorted.
    pixels
        (p,) int64: number of shared pixels.
    contested
        (n,) int64: pixels of each annotation that other annotations also claim.
    covered_once, covered_often
        Number of pixels that exactly one annotation claims, and that several claim.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]
    contested: NDArray[np.int64]
    covered_once: int
    covered_often: int


def find_overlaps(runs: Runs) -> Overlaps:
    """Find all pairs of annotations that share pixels.

    Parameters
    ----------
    runs
        The annotations.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> overlaps = find_overlaps(parse_rle(["1 4", "3 4", "10 1"], (2, 5)))
    >>> overlaps.first, overlaps.second, overlaps.pixels
    (array([0]), array([1]), array([2]))
    >>> overlaps.contested, overlaps.covered_once, overlaps.covered_often
    (array([2, 2, 0]), 5, 2)
    """
    claimed = int(runs.lengths.sum())
    bands = [(runs, np.arange(len(runs)))] if claimed <= _AT_ONCE else _bands(runs, -(-claimed // _AT_ONCE))
    contested = np.zeros(len(runs), np.int64)
    once = often = 0
    keys, shared = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for part, which in bands:
        found = _find_overlaps(part)
        keys.append(which[found.first] * len(runs) + which[found.second])
        shared.append(found.pixels)
        contested[which] += found.contested
        once, often = once + found.covered_once, often + found.covered_often
    pairs, places = np.unique(np.concatenate(keys), return_inverse=True)
    pixels = np.bincount(places, np.concatenate(shared), len(pairs)).astype(np.int64)
    first, second = np.divmod(pairs, max(len(runs), 1))
    return Overlaps(first, second, pixels, contested, once, often)


def _bands(runs: Runs, count: int) -> Iterator[tuple[Runs, NDArray[np.intp]]]:
    """Yield the annotations in bands of rows, with their indices, to limit memory."""
    windowed = WindowedRuns.of(runs)
    height, width = runs.shape
    tops = range(0, height, -(-height // count))
    return (windowed.cut(slice(top, min(top + tops.step, height)), slice(0, width)) for top in tops)


def _find_overlaps(runs: Runs) -> Overlaps:
    positions = runs.positions()
    by_position = np.argsort(positions, kind="stable")
    positions = positions[by_position]
    owners = np.repeat(runs.owners, runs.lengths)[by_position]
    again = np.zeros(len(positions), bool)
    again[1:] = positions[1:] == positions[:-1]
    contested = again.copy()
    contested[:-1] |= again[1:]
    pairs = _pairs(positions, owners, len(runs))
    keys, pixels = np.unique(pairs, return_counts=True)
    first, second = np.divmod(keys, max(len(runs), 1))
    distinct, often = int(np.count_nonzero(~again)), int(np.count_nonzero(contested & ~again))
    return Overlaps(first, second, pixels, np.bincount(owners[contested], minlength=len(runs)), distinct - often, often)


def _pairs(positions: NDArray[np.int64], owners: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return every pair of owners of the same position, encoded as one number: entries that are a few steps apart."""
    found = [np.zeros(0, np.int64)]
    for step in range(1, count):
        same = np.flatnonzero(positions[step:] == positions[:-step])
        if not len(same):
            break
        found.append(owners[same] * count + owners[same + step])
    return np.concatenate(found)
