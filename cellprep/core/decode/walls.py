"""Every wall pixel to its owner, and every piece to its cell: the decoder that is meant unless another is named."""

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

_TIMES = 3  # how many times as large a cell on top is, for the least size of what lies below it


@dataclass(frozen=True, slots=True)
class Walls(Decoder):
    """Decode by finding, for each two seeds that meet, which lies below.

    Seeds are what is left of the mask without walls. The shape of a wall tells which of two seeds lies on top of the
    other; pieces that a cell on top cut apart are joined; then, with the sizes of whole cells, each wall goes to the
    cell below. What touches others and is too small for a cell goes to those around it. Mask beyond cells stays
    background; a rim that the mask has lost is given back.
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
        """Leave out what is too small to be a cell of its own, and was joined to none."""
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
    """Return the evidence that the first seed of each contact lies below, of all contacts of the same two cells."""
    count = len(contacts.area)
    area = sum_by(cell, contacts.area, count)
    first, second = cell[contacts.a], cell[contacts.b]
    # Contacts of the same two cells may name them either way round: their evidence is summed in the order of the
    # cells, then turned back. A pair of cells is one number.
    turned = np.where(first < second, 1.0, -1.0)
    keys = np.minimum(first, second) * count + np.maximum(first, second)
    _, pair = np.unique(keys, return_inverse=True)
    together = sum_by(pair, shape * turned, len(keys))[pair] * turned
    # Beside the sizes of whole cells, shape weighs a tenth more than alone.
    return 1.1 * together + order_by_size(area[first], area[second])


def _own_walls(contacts: Contacts, cell: NDArray[np.int32], below: Ints) -> Labels:
    """Return the cells with the walls that lie between seeds.

    Of three seeds beside a pixel, the one that lies below most of the others owns it. A pixel beside one seed alone
    belongs to another one, whose walls are next to it.
    """
    labels = cell[contacts.seeds]  # (H, W): a look-up per pixel
    # (3, w): the seeds beside each wall pixel, and in how many of its contacts, three at most, each of them lies below.
    beside = np.stack([contacts.lowest, contacts.middle, contacts.highest])
    wins = [np.bincount(contacts.pixel, below[contacts.contact] == seed[contacts.pixel], seed.size) for seed in beside]
    owner = np.take_along_axis(beside, np.argmax(wins, axis=0)[None], axis=0)[0]
    several = contacts.lowest < contacts.highest
    # With a margin of a pixel, so that neighbours of pixels at the edge can be looked up.
    owned = np.zeros(np.add(labels.shape, 2), np.int32)
    owned[contacts.y[several] + 1, contacts.x[several] + 1] = cell[owner[several]]
    alone = ~several & (contacts.highest > 0)
    # A pixel beside one seed alone takes the first owner among its neighbours that is another cell. All of them are
    # looked up before any is set, so that none takes over what another one has just got.
    y, x, mine = contacts.y[alone], contacts.x[alone], cell[contacts.highest[alone]]
    found = np.zeros(len(y), np.int32)
    for dy, dx in NEIGHBOURS:
        near = owned[y + 1 + dy, x + 1 + dx]
        found = np.where((found == 0) & (near != mine), near, found)
    owned[y + 1, x + 1] = found
    labels[contacts.y, contacts.x] = owned[contacts.y + 1, contacts.x + 1]
    return labels


def _beyond_cells(contacts: Contacts, maps: Maps) -> NDArray[np.bool_]:
    """Find walls that no two seeds are beside and that have no vector: there the mask is larger than its cells.

    On a wall beside one cell alone the vector points into that cell.
    """
    beyond = np.zeros(maps.mask.shape, bool)
    alone = contacts.lowest == contacts.highest
    beyond[contacts.y[alone], contacts.x[alone]] = True
    return beyond & maps.still
