"""The default decoder: assigns each wall pixel to its owner, and each fragment to its cell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Floats, Ints, Labels, sum_by
from cellprep.core.decode.contacts import NEIGHBOURS, Contacts, find_contacts
from cellprep.core.decode.decoder import Decoder
from cellprep.core.decode.growing import grow
from cellprep.core.decode.joins import join_pieces
from cellprep.core.decode.maps import Maps
from cellprep.core.decode.order import order_by_shape, order_by_size
from cellprep.core.decode.rim import WIDEST, lost_rim, trust_level_0
from cellprep.core.decode.seeds import find_seeds
from cellprep.core.tuning import option

_TIMES = 3  # a cell below one this many times as large must have the size `min_below`


@dataclass(frozen=True, slots=True)
class Walls(Decoder):
    """Decode by finding out which of two touching seeds lies below.

    Seeds are the mask without walls. The shape of a wall shows which of two seeds lies on top; fragments that a cell on
    top has split are joined; then, considering the sizes of whole cells, each wall is assigned to the cell below.
    Objects too small for a cell are merged into the cells that they touch. Mask pixels beyond cells become background;
    a rim that the mask lacks is restored.
    """

    min_piece: int = option(
        10,
        "minimum size of a cell that touches others, in pixels; smaller ones are merged into these",
        0,
        tried=(5, 10, 20, 40),
    )
    min_below: int = option(30, "the same for a cell below one three times as large", 0, tried=(15, 30, 60))
    max_rim: int = option(
        WIDEST,
        "maximum growth of cells beyond a mask that has lost its rim, in pixels",
        0,
        WIDEST,
        tried=(0, 1, WIDEST),
    )

    def __call__(self, maps: Maps) -> Labels:
        """Decode."""
        maps = trust_level_0(maps)
        seeds = find_seeds(maps)
        contacts = find_contacts(seeds, maps.walls & (seeds == 0))
        shape = order_by_shape(contacts, maps.mask)
        cell = join_pieces(contacts, shape)
        first_below = order_cells(contacts, shape, cell) >= 0
        labels = _own_walls(contacts, cell.astype(np.int32), np.where(first_below, contacts.a, contacts.b))
        kept = self._without_small_pieces(labels, contacts, cell, first_below)
        return grow(kept, (maps.mask & ~_beyond_cells(contacts, maps)) | lost_rim(maps, self.max_rim))

    def _without_small_pieces(
        self, labels: Labels, contacts: Contacts, cell: Ints, first_below: NDArray[np.bool_]
    ) -> Labels:
        """Remove cells that are too small and were not joined."""
        count = len(contacts.area)
        area = np.bincount(labels.ravel(), minlength=count)
        first, second = cell[contacts.a], cell[contacts.b]
        # (n + 1,) by the seeds that stand for cells, as `area`: the area of the largest cell on top of each.
        above = np.zeros(count, np.int64)
        np.maximum.at(above, np.where(first_below, first, second), area[np.where(first_below, second, first)])
        touching = np.zeros(count, bool)
        touching[first] = touching[second] = True
        small = (touching & (area < self.min_piece)) | ((area < self.min_below) & (area * _TIMES < above))
        return np.where(small, 0, np.arange(count)).astype(np.int32)[labels]


def order_cells(contacts: Contacts, shape: Floats, cell: Ints) -> Floats:
    """Return the evidence that the first seed of each contact lies below, from all contacts of the same two cells."""
    count = len(contacts.area)
    area = sum_by(cell, contacts.area, count)
    first, second = cell[contacts.a], cell[contacts.b]
    # Contacts of the same two cells may name them in either order: their evidence is summed in the order of the cells,
    # then converted back. A pair of cells is encoded as one number.
    turned = np.where(first < second, 1.0, -1.0)
    keys = np.minimum(first, second) * count + np.maximum(first, second)
    _, pair = np.unique(keys, return_inverse=True)
    together = sum_by(pair, shape * turned, len(keys))[pair] * turned
    # Together with the sizes of whole cells, shape has a weight of 1.1.
    return 1.1 * together + order_by_size(area[first], area[second])


def _own_walls(contacts: Contacts, cell: NDArray[np.int32], below: Ints) -> Labels:
    """Return the cells with the walls between seeds.

    Of three seeds next to a pixel, the one that lies below most of the others owns it. A pixel next to one seed only
    belongs to another cell, whose walls are adjacent.
    """
    labels = cell[contacts.seeds]  # (H, W): one look-up per pixel
    # (3, w): the seeds next to each wall pixel, and in how many of its contacts (at most three) each lies below.
    beside = np.stack([contacts.lowest, contacts.middle, contacts.highest])
    wins = [np.bincount(contacts.pixel, below[contacts.contact] == seed[contacts.pixel], seed.size) for seed in beside]
    owner = np.take_along_axis(beside, np.argmax(wins, axis=0)[None], axis=0)[0]
    several = contacts.lowest < contacts.highest
    # Padded by one pixel, so that neighbours of edge pixels can be looked up.
    owned = np.zeros(np.add(labels.shape, 2), np.int32)
    owned[contacts.y[several] + 1, contacts.x[several] + 1] = cell[owner[several]]
    alone = ~several & (contacts.highest > 0)
    # A pixel next to one seed only takes the first owner among its neighbours that is another cell. All of them are
    # looked up before any is set, so that none copies a value that was just set.
    y, x, mine = contacts.y[alone], contacts.x[alone], cell[contacts.highest[alone]]
    found = np.zeros(len(y), np.int32)
    for dy, dx in NEIGHBOURS:
        near = owned[y + 1 + dy, x + 1 + dx]
        found = np.where((found == 0) & (near != mine), near, found)
    owned[y + 1, x + 1] = found
    labels[contacts.y, contacts.x] = owned[contacts.y + 1, contacts.x + 1]
    return labels


def _beyond_cells(contacts: Contacts, maps: Maps) -> NDArray[np.bool_]:
    """Find walls without two adjacent seeds and without a vector: there the mask extends beyond its cells.

    On a wall next to one cell only, the vector points into that cell.
    """
    beyond = np.zeros(maps.mask.shape, bool)
    alone = contacts.lowest == contacts.highest
    beyond[contacts.y[alone], contacts.x[alone]] = True
    return beyond & maps.still
