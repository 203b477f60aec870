"""Contacts between cells, which are few and matter most."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.learn.windowed import parts

_MOST = 1024  # per image, evenly chosen from all


def find_contacts(labels: Any) -> NDArray[np.int64]:
    """Return pixels of cells whose right or lower neighbour belongs to another cell: (n, 2) rows and columns.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background: an array, or a `WindowedArray`. Contacts between the bands of the latter are
        omitted.

    Examples
    --------
    >>> find_contacts(np.array([[1, 2, 0], [1, 0, 3]])).tolist()
    [[0, 0]]
    """
    found, top = [np.zeros((0, 2), np.int64)], 0
    for part in parts(labels):
        meets = np.zeros(part.shape, bool)
        meets[:, :-1] |= (part[:, 1:] != part[:, :-1]) & (part[:, 1:] > 0)
        meets[:-1] |= (part[1:] != part[:-1]) & (part[1:] > 0)
        places = np.argwhere(meets & (part > 0))
        found.append(places + np.array([top, 0]))
        top += len(part)
    contacts = np.concatenate(found)
    return contacts[:: -(-len(contacts) // _MOST) or 1]
