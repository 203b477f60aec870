"""Filling outlines: the pixels whose centres lie inside, as runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs
from cellprep.errors import RLEError
from cellprep.system.memory import check_memory

_BYTES_A_CROSSING = 64
#: Rings of one cell, each as corners (x, y).
Rings = Sequence[NDArray[np.floating | np.integer]]

_FAR = 1e9  # pixels; no image is this large


def fill_outlines(outlines: Sequence[Rings], shape: tuple[int, int]) -> Runs:
    """Fill outlines: a pixel belongs to a cell if its centre lies inside, by the even-odd rule.

    The pixel in row y and column x has its centre at (x + 0.5, y + 0.5). A centre on a side belongs to the cell to the
    right of the side or, for a horizontal side, below it, so that no pixel belongs to two adjacent cells. Parts outside
    the image are clipped.

    Parameters
    ----------
    outlines
        Rings of each cell, in any order, including holes: (k, 2) corners (x, y), in pixels. The last corner is
        connected to the first.
    shape
        (H, W) of the image, in pixels.

    Returns
    -------
    Runs
        The mask of each cell; it has no pixels if the outline contains no pixel centre.

    Raises
    ------
    RLEError
        If a corner is not finite or exceeds 10^9 pixels; the error names the first such outline.
    TooLargeError
        If the outlines need too much memory.

    Examples
    --------
    >>> square, hole = [[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [2, 1], [2, 2], [1, 2]]
    >>> fill_outlines([[np.array(square), np.array(hole)]], (3, 4)).to_masks().astype(int)
    array([[[1, 1, 1, 0],
            [1, 0, 1, 0],
            [1, 1, 1, 0]]])
    """
    height, width = shape
    sides, owners = _sides(outlines)
    # A side crosses the rows whose centres lie between its ends, including its upper end but not its lower one.
    above, below = np.sort(sides[:, :, 1], axis=1).T
    first, end = (np.clip(np.ceil(ends - 0.5), 0, height).astype(np.int64) for ends in (above, below))
    counts = end - first
    check_memory(int(counts.sum()) * _BYTES_A_CROSSING, "the interior of its outlines")
    which = np.repeat(np.arange(len(sides)), counts)
    rows = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + first[which]
    (x0, y0), (x1, y1) = sides[which].transpose(1, 2, 0)
    crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
    # In each row of each cell, pixels are inside from every odd crossing to the next one.
    order = np.lexsort((columns, rows, owners[which]))
    begins, ends = (order[offset::2] for offset in (0, 1))
    starts, lengths = rows[begins] * width + columns[begins], columns[ends] - columns[begins]
    return _runs(owners[which][begins], starts, lengths, len(outlines), shape)


def _sides(
    outlines: Sequence[Rings],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sides of all rings that are not horizontal, (n, 2, 2) from and to (x, y), and the cell of each."""
    parts, owners = [np.zeros((0, 2, 2))], [np.zeros(0, np.int64)]
    for place, rings in enumerate(outlines):
        for ring in rings:
            corners = np.asarray(ring, np.float64).reshape(-1, 2)
            if not (np.abs(corners).max(initial=0) < _FAR):  # false for NaN, too
                raise RLEError(place, "its outline has a corner that is not finite, or exceeds 10^9 pixels")
            sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
            parts.append(sides[sides[:, 0, 1] != sides[:, 1, 1]])
            owners.append(np.full(len(parts[-1]), place))
    return np.concatenate(parts), np.concatenate(owners)


def _runs(
    owners: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], count: int, shape: tuple[int, int]
) -> Runs:
    """Remove empty runs, and merge adjacent ones."""
    kept = lengths > 0
    owners, starts, lengths = owners[kept], starts[kept], lengths[kept]
    ends = starts + lengths
    goes_on = (owners[1:] == owners[:-1]) & (starts[1:] == ends[:-1])
    first = np.flatnonzero(np.concatenate(([True], ~goes_on))) if len(owners) else np.zeros(0, np.int64)
    last = np.append(first[1:], len(owners)) - 1 if len(owners) else first
    offsets = np.searchsorted(owners[first], np.arange(count + 1))
    return Runs(starts[first], ends[last] - starts[first], offsets, shape, "row")
