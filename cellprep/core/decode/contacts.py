"""Contacts between seeds: the wall pixels between each pair."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Floats, Ints, Labels, sizes, sum_by

#: Offsets (y, x) of the eight neighbours of a pixel.
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


@dataclass(frozen=True, slots=True)
class Contacts:
    """Contacts of seeds across walls. Contact k is between the seeds ``a[k] < b[k]``.

    A wall pixel with two seeds among its eight neighbours is a member of their contact. With three seeds (the lowest,
    the highest and one between them) it is a member of all three contacts. These memberships are listed.

    Attributes
    ----------
    seeds
        (H, W) int32: the seeds, 0 elsewhere.
    y, x
        (w,): positions of the wall pixels.
    lowest, middle, highest
        (w,): seeds next to each wall pixel; 0 where there are fewer. If there is only one, `lowest` equals `highest`.
    a, b
        (k,): the seeds of each contact; sorted.
    pixel, contact
        (m,): index of the wall pixel and of the contact of each membership.
    length
        (k,): number of wall pixels of each contact.
    own
        (k,): number of those without a third seed next to them. Only the two seeds can have made them walls.
    area
        (n + 1,) float: area of each seed in pixels, plus half of its contacts.
    """

    seeds: Labels
    y: Ints
    x: Ints
    lowest: Ints
    middle: Ints
    highest: Ints
    a: Ints
    b: Ints
    pixel: Ints
    contact: Ints
    length: Ints
    own: Ints
    area: Floats

    def __len__(self) -> int:
        return len(self.a)

    def total(self, values: NDArray[Any]) -> Floats:
        """Sum values (m,) of the members over each contact: (k,)."""
        return sum_by(self.contact, values, len(self))


def find_contacts(seeds: Labels, walls: NDArray[np.bool_]) -> Contacts:
    """Find the contacts of seeds.

    Examples
    --------
    >>> contacts = find_contacts(np.array([[1, 0, 2]] * 4, np.int32), np.array([[0, 1, 0]] * 4, bool))
    >>> contacts.a, contacts.b, contacts.length
    (array([1]), array([2]), array([4]))
    """
    y, x = np.nonzero(walls)
    lowest, middle, highest = _seeds_beside(seeds, y, x)
    two, three = np.flatnonzero(lowest < highest), np.flatnonzero(middle)
    pixel = np.concatenate([two, three, three])
    first = np.concatenate([lowest[two], lowest[three], middle[three]])
    second = np.concatenate([highest[two], middle[three], highest[three]])
    count = int(seeds.max())
    keys, contact = np.unique(first * (count + 1) + second, return_inverse=True)
    a, b = np.divmod(keys, count + 1)
    length = np.bincount(contact, minlength=len(keys))
    shared = np.bincount(contact, middle[pixel] > 0, len(keys)).astype(np.int64)
    ends = np.concatenate([a, b])
    area = sizes(seeds) + sum_by(ends, np.tile(length, 2) / 2, count + 1)
    return Contacts(seeds, y, x, lowest, middle, highest, a, b, pixel, contact, length, length - shared, area)


def pair_places(contacts: Contacts, first: Ints, second: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Look up the contacts of pairs of seeds: their indices, and whether they exist."""
    count = len(contacts.area)
    keys = contacts.a * count + contacts.b
    wanted = np.minimum(first, second) * count + np.maximum(first, second)
    places = np.searchsorted(keys, wanted)
    if not len(keys):
        return places, np.zeros(len(wanted), bool)
    places = np.minimum(places, len(keys) - 1)
    return places, keys[places] == wanted


def _seeds_beside(seeds: Labels, y: Ints, x: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the lowest, a middle and the highest seed among each pixel's eight neighbours."""
    padded = np.pad(seeds, 1)
    width = padded.shape[1]
    centre = (y + 1) * width + x + 1
    beside = [padded.ravel()[centre + dy * width + dx].astype(np.int64) for dy, dx in NEIGHBOURS]
    highest = np.maximum.reduce(beside)
    lowest = np.minimum.reduce([np.where(seed > 0, seed, highest) for seed in beside])
    between = [np.where((seed != lowest) & (seed != highest), seed, 0) for seed in beside]
    return lowest, np.maximum.reduce(between), highest
