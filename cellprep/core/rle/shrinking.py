"""Masks reduced to 1/N of their size."""

import numpy as np

from cellprep.core.rle.runs import Runs
from cellprep.core.rle.windows import lines_of
from cellprep.core.shrinking import middles, shrunk_shape


def shrink_runs(runs: Runs, by: int) -> Runs:
    """Reduce masks to 1/`by` of their size: each block is represented by its middle pixel, as returned by `middles`.

    Masks may become empty. Overlaps remain.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> shrunk = shrink_runs(parse_rle(["1 3 7 3", "12 1"], (3, 4)), 2)
    >>> shrunk.starts, shrunk.lengths, shrunk.offsets
    (array([1, 3]), array([1, 1]), array([0, 1, 2]))
    """
    return Runs.joined([_shrunk(piece, by) for piece in runs.pieces()])


def _shrunk(runs: Runs, by: int) -> Runs:
    by_row = runs.order == "row"
    lines, places = (middles(size, by) for size in (runs.shape if by_row else runs.shape[::-1]))
    owners, line, begin, end = lines_of(runs)
    place = np.searchsorted(lines, line)
    is_middle = lines[np.minimum(place, len(lines) - 1)] == line
    begin, end = np.searchsorted(places, begin), np.searchsorted(places, end)
    kept = is_middle & (begin < end)
    owners, place, begin, end = owners[kept], place[kept], begin[kept], end[kept]
    offsets = np.searchsorted(owners, np.arange(len(runs) + 1))
    return Runs(place * len(places) + begin, end - begin, offsets, shrunk_shape(runs.shape, by), runs.order)
