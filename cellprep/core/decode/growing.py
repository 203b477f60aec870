"""Growing labels into the rest of a mask."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels

#: Offsets (y, x) of the eight neighbours, straight ones first.
_STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def grow(labels: Labels, within: NDArray[np.bool_]) -> Labels:
    """Assign every pixel of a mask to the label that reaches it first.

    Labels grow one step at a time into all eight neighbours. If several arrive in the same step, the label with most
    neighbours wins, where straight neighbours count twice; ties go to the lowest label.

    Examples
    --------
    >>> grow(np.array([[0, 1, 0, 0, 0, 2, 0]], np.int32), np.array([[0, 1, 1, 1, 1, 1, 1]], bool))
    array([[0, 1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    grown = np.pad(labels, 1)
    flat = grown.ravel()
    steps = np.array([dy * grown.shape[1] + dx for dy, dx in _STEPS])
    y, x = np.nonzero(within & (labels == 0))
    left = (y + 1) * grown.shape[1] + x + 1
    while len(left):
        beside = flat[left[:, None] + steps]
        reached = beside.any(axis=1)
        if not reached.any():
            break
        flat[left[reached]] = _winners(beside[reached])
        left = left[~reached]
    return grown[1:-1, 1:-1]


def _winners(beside: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the winning label among neighbours (p, 8), straight ones first; at least one is not 0."""
    votes = np.zeros(beside.shape, np.int8)
    for place in range(beside.shape[1]):
        votes += (beside == beside[:, place, None]) * np.int8(2 if place < 4 else 1)
    votes[beside == 0] = 0
    most = votes == votes.max(axis=1, keepdims=True)
    winners: NDArray[np.int32] = np.where(most, beside, np.iinfo(np.int32).max).min(axis=1)
    return winners
