"""Joining the pieces of a cell that a cell on top cuts apart.

The cell on top is the smaller one. So a piece that lies below a neighbour larger than itself is but part of a cell,
and its other part is across that neighbour.
"""

from dataclasses import dataclass

import numpy as np

from cellprep.core.decode.components import Floats, Ints, sum_by
from cellprep.core.decode.contacts import Contacts, pair_places

# The weights in `_odds` and `_surprise` are rounded from logistic regressions on 128 images of Sartorius; `_LOWEST` and
# `_FARTHEST` were chosen with a look at all its images and at DSB2018 (docs/decoding.md).
_SMALLEST = 20  # pixels of a piece that joins others; smaller ones are too many, and not worth an error
_LOWEST = -0.5  # log odds of a join
_LARGEST = 1.5  # area of the smaller of two pieces, relative to what lies on top
_FARTHEST = 200  # pixels between the centres of cuts
_DENIED = -3  # evidence against lying below that rules it out
_MOST_SMALLER = 2.0  # log ratio of areas from which on a smaller piece is no more likely a part of something
_NEVER = 0.01  # share of cells that defy the order of sizes
_STEEP = 5.0  # log odds that the larger of two cells lies below, for a ratio of e


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs of pieces beside the same third one, without a wall of their own between them.

    Attributes
    ----------
    small, large
        (p,): the pieces; `small` has the smaller area.
    top
        (p,): the third one.
    small_below, large_below
        (p,): evidence that each lies below the third.
    small_cut, large_cut
        (p,): the contacts of each with it.
    """

    small: Ints
    large: Ints
    top: Ints
    small_below: Floats
    large_below: Floats
    small_cut: Ints
    large_cut: Ints


def join_pieces(contacts: Contacts, below: Floats) -> Ints:
    """Join the seeds that are pieces of one cell.

    Parameters
    ----------
    contacts
        The contacts of the seeds.
    below
        (k,): the evidence of shape that the first seed of each contact lies below.

    Returns
    -------
    ndarray
        (n + 1,): per seed the lowest seed of its cell.
    """
    candidates = _find_candidates(contacts, below)
    # Without candidates each seed is its own cell; the background, 0, is one of the n + 1.
    if not len(candidates.small):
        return np.arange(len(contacts.area))
    odds = _odds(contacts, candidates)
    taken = odds > _LOWEST
    return _merge(contacts, candidates.small[taken], candidates.large[taken], odds[taken])


def _find_candidates(contacts: Contacts, below: Floats) -> _Candidates:
    # (2 k,): every contact twice, once with each of its seeds as the lower one; so `below` changes its sign.
    low, top = np.concatenate([contacts.a, contacts.b]), np.concatenate([contacts.b, contacts.a])
    evidence, area = np.concatenate([below, -below]), contacts.area
    centre_y = contacts.total(contacts.y[contacts.pixel]) / contacts.length
    cut = np.tile(np.arange(len(contacts)), 2)  # (2 k,): which contact each of them is
    # Two of them with the same `top` are two pieces beside it. Sorted by y, near cuts are found fast.
    able = np.flatnonzero((area[low] >= _SMALLEST) & (evidence > _DENIED))
    one, other = (able[places] for places in _near_pairs(top[able], centre_y[cut[able]]))
    swapped = area[low[one]] > area[low[other]]
    one, other = np.where(swapped, other, one), np.where(swapped, one, other)
    # The smaller piece may be larger than what lies on top of it, but not by much: else it is a cell of its own.
    worth = area[low[one]] < _LARGEST * area[top[one]]
    one, other = one[worth], other[worth]
    place, known = pair_places(contacts, low[one], low[other])
    if len(contacts):
        apart = known & (contacts.own[place] > 0)  # a wall between them that no third seed explains
        one, other = one[~apart], other[~apart]
    return _Candidates(low[one], low[other], top[one], evidence[one], evidence[other], cut[one], cut[other])


def _near_pairs(values: Ints, positions: Floats) -> tuple[Ints, Ints]:
    """Return all pairs of places that hold the same value, at positions no farther apart than joins go."""
    # Each value gets a stretch of one line, with its positions in ascending order, so that a single binary search
    # finds for all places at once how many later ones are near.
    order = np.lexsort((positions, values))
    apart = positions.max(initial=0) + _FARTHEST + 1  # so that positions of different values are never near
    line = values[order] * apart + positions[order]
    later = np.searchsorted(line, line + _FARTHEST, side="right") - np.arange(len(line)) - 1
    # (p,): each place as often as others are near it. `step` counts 0, 1, 2, ... within each of these runs.
    first = np.repeat(np.arange(len(line)), later)
    step = np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    return order[first], order[first + step + 1]


def _odds(contacts: Contacts, pairs: _Candidates) -> Floats:
    """Return the log odds that each pair is one cell.

    That a piece lies below counts up to how odd that would be of a cell of its size. The cuts of true pairs face each
    other across a narrow stretch.
    """
    area = contacts.area
    small, large, top = area[pairs.small], area[pairs.large], area[pairs.top]
    small_odd = _surprise(pairs.small_below, small / top)
    large_odd = _surprise(pairs.large_below, large / top)
    lengths = contacts.length[pairs.small_cut], contacts.length[pairs.large_cut]
    # The smaller the piece is beside what lies on top, the less likely is a cell of its own.
    smaller = np.clip(np.log(top / small), 0, _MOST_SMALLER)
    # The log odds of a pair whose cuts have no gap; fitted. The gap takes away 2 log(1 + gap), never less than 0.
    touching = -1.67 + 0.5 * small_odd + 0.9 * large_odd + 1.7 * smaller + 0.8 * np.log(np.minimum(*lengths))
    reach = np.expm1((touching - _LOWEST) / 2)  # beyond this gap a join is too unlikely
    # The exact gap takes all pairs of pixels of two contacts, so it is measured only where a join can come of it.
    near = _least_gap(contacts, pairs.small_cut, pairs.large_cut) <= reach
    gap = np.full(len(near), np.inf)
    gap[near] = _mean_gap(contacts, pairs.small_cut[near], pairs.large_cut[near])
    odds: Floats = touching - 2 * np.log1p(gap)
    return odds


def _surprise(below: Floats, ratio: Floats) -> Floats:
    """Return how much the evidence says against a whole cell of this size relative to the one on top."""
    # The chance that a whole cell of this size lies below: a logistic curve of the log ratio, kept off 0 and 1.
    expected = _NEVER + (1 - 2 * _NEVER) / (1 + np.exp(-_STEEP * np.log(ratio)))
    # 0 without evidence (below = 0), rising to -log(expected) as the evidence grows: to lie below costs a whole cell no
    # more than that. Evidence of the opposite makes it negative without bound but that of the clip, which also keeps
    # exp from overflowing.
    surprise: Floats = -np.log(expected + (1 - expected) * np.exp(-np.clip(below, -30, 30)))
    return surprise


def _least_gap(contacts: Contacts, first: Ints, second: Ints) -> Floats:
    """Return what `_mean_gap` is at least, from the circles around the contacts' centres."""
    y, x = contacts.y[contacts.pixel], contacts.x[contacts.pixel]
    centre_y, centre_x = contacts.total(y) / contacts.length, contacts.total(x) / contacts.length
    radius = np.zeros(len(contacts))  # (k,): from the centre of a contact to its farthest pixel
    np.maximum.at(radius, contacts.contact, np.hypot(y - centre_y[contacts.contact], x - centre_x[contacts.contact]))
    apart = np.hypot(centre_y[first] - centre_y[second], centre_x[first] - centre_x[second])
    return apart - radius[first] - radius[second]


def _mean_gap(contacts: Contacts, first: Ints, second: Ints) -> Floats:
    """Return the mean distance from the pixels of the shorter of two contacts to the nearest of the other."""
    # All pixels of the shorter contact times all of the longer one, for all pairs at once, in flat arrays: `pair`
    # and `place` have an entry for each pixel of a shorter contact; `source`, `step` and `target` one for each of these
    # and each pixel of the longer contact. `place` and `target` point into y and x, which are sorted by contact.
    swapped = contacts.length[first] > contacts.length[second]
    short, long = np.where(swapped, second, first), np.where(swapped, first, second)
    by_contact = np.argsort(contacts.contact, kind="stable")
    y, x = contacts.y[contacts.pixel[by_contact]], contacts.x[contacts.pixel[by_contact]]
    start = np.concatenate(([0], np.cumsum(contacts.length)))  # (k + 1,): where the pixels of each contact begin
    shorts, longs = contacts.length[short], contacts.length[long]
    pair = np.repeat(np.arange(len(short)), shorts)  # for each pixel of a shorter contact
    place = np.arange(len(pair)) - np.repeat(np.cumsum(shorts) - shorts, shorts) + start[short][pair]
    starts = np.cumsum(longs[pair]) - longs[pair]  # for each of these, all pixels of the longer one
    source = np.repeat(place, longs[pair])
    step = np.arange(len(source)) - np.repeat(starts, longs[pair])
    target = step + np.repeat(start[long][pair], longs[pair])
    squared = (y[source] - y[target]) ** 2 + (x[source] - x[target]) ** 2
    nearest = np.sqrt(np.minimum.reduceat(squared, starts))  # one minimum per pixel of a shorter contact
    return sum_by(pair, nearest, len(short)) / shorts


def _merge(contacts: Contacts, first: Ints, second: Ints, odds: Floats) -> Ints:
    """Merge pairs, the likeliest first, as long as no wall of their own lies between the cells that they make.

    In a round those pairs merge that are the best of both their cells, so that the order is that of one by one.
    """
    count = len(contacts.area)
    cell = np.arange(count)  # (n + 1,): per seed the lowest seed of its cell, as far as merged
    likeliest = np.argsort(-odds, kind="stable")
    first, second = first[likeliest], second[likeliest]
    walled = contacts.own > 0
    while True:
        low, high = np.minimum(cell[first], cell[second]), np.maximum(cell[first], cell[second])
        one, other = cell[contacts.a[walled]], cell[contacts.b[walled]]
        # A pair of cells as one number, so that `isin` looks up pairs. All contacts with a wall of their own count.
        apart = np.minimum(one, other) * count + np.maximum(one, other)
        open_ = (low != high) & ~np.isin(low * count + high, apart)
        first, second, low, high = first[open_], second[open_], low[open_], high[open_]
        if not len(first):
            return cell
        # Pairs are sorted, so a pair's rank is its place; `best` is per cell the likeliest pair that it is in. A pair
        # that is best for both cells would come before all others of these cells one by one, too.
        rank = np.arange(len(first))
        best = np.full(count, len(first))
        np.minimum.at(best, low, rank)
        np.minimum.at(best, high, rank)
        merging = (best[low] == rank) & (best[high] == rank)
        into = np.arange(count)  # each cell merges once a round, so that no chain has to be followed
        into[high[merging]] = low[merging]
        cell = into[cell]
