"""Which annotations overlap each other, and by how much."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.rle import Runs

__all__ = ["Overlaps", "find_overlaps"]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The pairs of annotations that share pixels.

    Attributes
    ----------
    first, second
        (p,) int64: the annotations of each pair, the earlier first; sorted.
    pixels
        (p,) int64: how many pixels they share.
    contested
        (n,) int64: pixels of each annotation that others claim as well.
    covered_once, covered_often
        Pixels of the image that exactly one annotation claims, and several.
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
    """Return every pair of owners at every position, as one number each: entries some steps apart share it."""
    found = [np.zeros(0, np.int64)]
    for step in range(1, count):
        same = np.flatnonzero(positions[step:] == positions[:-step])
        if not len(same):
            break
        found.append(owners[same] * count + owners[same + step])
    return np.concatenate(found)
