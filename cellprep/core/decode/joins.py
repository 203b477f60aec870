"""Joining fragments of a cell that another cell on top has split.

The cell on top is the smaller one. A fragment below a neighbour that is larger than itself is therefore only part of a
cell, whose other part is on the far side of that neighbour.
"""

from dataclasses import dataclass

import numpy as np

from cellprep.core.decode.components import Floats, Ints, sum_by
from cellprep.core.decode.contacts import Contacts, pair_places

# The weights in `_odds` and `_surprise` are rounded from logistic regressions on 128 images of Sartorius. `_LOWEST` and
# `_FARTHEST` were chosen on all its images and DSB2018 (docs/decoding.md).
_SMALLEST = 20  # pixels of a fragment that may be joined; smaller ones are numerous and not worth the risk of an error
_LOWEST = -0.5  # log odds of a join
_LARGEST = 1.5  # area of the smaller of two fragments, relative to the cell on top
_FARTHEST = 200  # pixels between the centres of cuts
_DENIED = -3  # evidence against lying below that rules it out
_MOST_SMALLER = 2.0  # log ratio of areas beyond which the probability of being a fragment no longer increases
_NEVER = 0.01  # share of cells that contradict the order of sizes
_STEEP = 5.0  # log odds that the larger of two cells lies below, for a ratio of e


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs of fragments next to the same third one, without a wall between them.

    Attributes
    ----------
    small, large
        (p,): the fragments; `small` has the smaller area.
    top
        (p,): the third fragment.
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
    """Join the seeds that are fragments of one cell.

    Parameters
    ----------
    contacts
        The contacts of the seeds.
    below
        (k,): evidence from shape that the first seed of each contact lies below.

    Returns
    -------
    ndarray
        (n + 1,): for each seed the lowest seed of its cell.
    """
    candidates = _find_candidates(contacts, below)
    # Without candidates each seed is its own cell; the background, 0, is one of the n + 1.
    if not len(candidates.small):
        return np.arange(len(contacts.area))
    odds = _odds(contacts, candidates)
    taken = odds > _LOWEST
    return _merge(contacts, candidates.small[taken], candidates.large[taken], odds[taken])


def _find_candidates(contacts: Contacts, below: Floats) -> _Candidates:
    # (2 k,): every contact twice, with each of its seeds as the lower one, which negates `below`.
    low, top = np.concatenate([contacts.a, contacts.b]), np.concatenate([contacts.b, contacts.a])
    evidence, area = np.concatenate([below, -below]), contacts.area
    centre_y = contacts.total(contacts.y[contacts.pixel]) / contacts.length
    cut = np.tile(np.arange(len(contacts)), 2)  # (2 k,): index of the contact
    # Two entries with the same `top` are two fragments next to it. They are sorted by y so that near cuts are found
    # fast.
    able = np.flatnonzero((area[low] >= _SMALLEST) & (evidence > _DENIED))
    one, other = (able[places] for places in _near_pairs(top[able], centre_y[cut[able]]))
    swapped = area[low[one]] > area[low[other]]
    one, other = np.where(swapped, other, one), np.where(swapped, one, other)
    # The smaller fragment may be larger than the cell on top, but not by much, otherwise it is a cell of its own.
    worth = area[low[one]] < _LARGEST * area[top[one]]
    one, other = one[worth], other[worth]
    place, known = pair_places(contacts, low[one], low[other])
    if len(contacts):
        apart = known & (contacts.own[place] > 0)  # a wall between them not due to a third seed
        one, other = one[~apart], other[~apart]
    return _Candidates(low[one], low[other], top[one], evidence[one], evidence[other], cut[one], cut[other])


def _near_pairs(values: Ints, positions: Floats) -> tuple[Ints, Ints]:
    """Return all pairs of entries with equal values whose positions are within the largest distance of a join."""
    # Each value gets an interval on one line, with its positions in ascending order, so that a single binary search
    # returns for all entries how many later ones are near.
    order = np.lexsort((positions, values))
    apart = positions.max(initial=0) + _FARTHEST + 1  # so that positions of different values are never near
    line = values[order] * apart + positions[order]
    later = np.searchsorted(line, line + _FARTHEST, side="right") - np.arange(len(line)) - 1
    # (p,): each entry, repeated by its number of near entries. `step` counts 0, 1, 2, ... within each of these runs.
    first = np.repeat(np.arange(len(line)), later)
    step = np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    return order[first], order[first + step + 1]


def _odds(contacts: Contacts, pairs: _Candidates) -> Floats:
    """Return the log odds that each pair is one cell.

    Evidence that a fragment lies below is weighted by how surprising it would be for a whole cell of its size. The cuts
    of true pairs face each other across a narrow gap.
    """
    area = contacts.area
    small, large, top = area[pairs.small], area[pairs.large], area[pairs.top]
    small_odd = _surprise(pairs.small_below, small / top)
    large_odd = _surprise(pairs.large_below, large / top)
    lengths = contacts.length[pairs.small_cut], contacts.length[pairs.large_cut]
    # The smaller the fragment relative to the cell on top, the less likely it is a cell of its own.
    smaller = np.clip(np.log(top / small), 0, _MOST_SMALLER)
    # The log odds of a pair whose cuts have no gap; fitted. The gap subtracts 2 log(1 + gap), which is never negative.
    touching = -1.67 + 0.5 * small_odd + 0.9 * large_odd + 1.7 * smaller + 0.8 * np.log(np.minimum(*lengths))
    reach = np.expm1((touching - _LOWEST) / 2)  # beyond this gap a join is too unlikely
    # The exact gap compares all pairs of pixels of two contacts, so it is computed only if it can lead to a join.
    near = _least_gap(contacts, pairs.small_cut, pairs.large_cut) <= reach
    gap = np.full(len(near), np.inf)
    gap[near] = _mean_gap(contacts, pairs.small_cut[near], pairs.large_cut[near])
    odds: Floats = touching - 2 * np.log1p(gap)
    return odds


def _surprise(below: Floats, ratio: Floats) -> Floats:
    """Return the evidence against a whole cell of this size relative to the one on top."""
    # Probability that a whole cell of this size lies below: a logistic curve of the log ratio, clipped near 0 and 1.
    expected = _NEVER + (1 - 2 * _NEVER) / (1 + np.exp(-_STEEP * np.log(ratio)))
    # 0 without evidence (below = 0), increasing to -log(expected) as it grows: the penalty for a whole cell is
    # bounded. Opposite evidence makes it negative without bound, except for the clip, which also keeps exp from
    # overflowing.
    surprise: Floats = -np.log(expected + (1 - expected) * np.exp(-np.clip(below, -30, 30)))
    return surprise


def _least_gap(contacts: Contacts, first: Ints, second: Ints) -> Floats:
    """Return a lower bound of `_mean_gap`, from the circles around the contacts' centres."""
    y, x = contacts.y[contacts.pixel], contacts.x[contacts.pixel]
    centre_y, centre_x = contacts.total(y) / contacts.length, contacts.total(x) / contacts.length
    radius = np.zeros(len(contacts))  # (k,): from the centre of a contact to its farthest pixel
    np.maximum.at(radius, contacts.contact, np.hypot(y - centre_y[contacts.contact], x - centre_x[contacts.contact]))
    apart = np.hypot(centre_y[first] - centre_y[second], centre_x[first] - centre_x[second])
    return apart - radius[first] - radius[second]


def _mean_gap(contacts: Contacts, first: Ints, second: Ints) -> Floats:
    """Return the mean distance from the pixels of the shorter of two contacts to the nearest pixel of the other."""
    # All pixels of the shorter contact times all of the longer one, for all pairs at once, in flat arrays: `pair` and
    # `place` have an entry for each pixel of a shorter contact; `source`, `step` and `target` have one for each
    # combination with a pixel of the longer contact. `place` and `target` are indices into y and x, which are sorted by
    # contact.
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
    """Merge pairs, the most likely first, unless a wall not due to a third seed separates the merged cells.

    Each round merges the pairs that are the best of both of their cells, which gives the same result as one by one.
    """
    count = len(contacts.area)
    cell = np.arange(count)  # (n + 1,): for each seed the lowest seed of its cell so far
    likeliest = np.argsort(-odds, kind="stable")
    first, second = first[likeliest], second[likeliest]
    walled = contacts.own > 0
    while True:
        low, high = np.minimum(cell[first], cell[second]), np.maximum(cell[first], cell[second])
        one, other = cell[contacts.a[walled]], cell[contacts.b[walled]]
        # A pair of cells is encoded as one number, so that `isin` can look up pairs. All contacts with a wall of
        # their own matter.
        apart = np.minimum(one, other) * count + np.maximum(one, other)
        open_ = (low != high) & ~np.isin(low * count + high, apart)
        first, second, low, high = first[open_], second[open_], low[open_], high[open_]
        if not len(first):
            return cell
        # Pairs are sorted, so a pair's rank is its index; `best` is the most likely pair of each cell. A pair that is
        # best for both cells would also come before all others of these cells one by one.
        rank = np.arange(len(first))
        best = np.full(count, len(first))
        np.minimum.at(best, low, rank)
        np.minimum.at(best, high, rank)
        merging = (best[low] == rank) & (best[high] == rank)
        into = np.arange(count)  # each cell merges at most once a round, so that there are no chains
        into[high[merging]] = low[merging]
        cell = into[cell]
