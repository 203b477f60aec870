"""Slow, obvious decoding, which the package must equal exactly."""

import numpy as np
from scipy.ndimage import label
from skimage.morphology import dilation as dilate
from skimage.morphology import label as label_pieces
from skimage.morphology import remove_small_holes, remove_small_objects

SQUARE = np.ones((3, 3), bool)


def original(energy, mask, level=1, min_size=20, min_hole=64, dilation=3):
    """The author's own calls, one after the other, on maps of the shape (H, W, 1) that he has."""
    energy, mask = energy[..., None], np.asarray(mask, bool)[..., None]
    cut = (energy > level) * mask
    cut = remove_small_objects(cut, max_size=min_size - 1)  # at most this: his min_size was "fewer than"
    cut = remove_small_holes(cut, max_size=min_hole - 1)
    pieces = label_pieces(cut)
    result = np.zeros(energy.shape, int)
    for piece in np.unique(pieces)[1:]:
        result[dilate(pieces == piece, np.ones(3 * (dilation,), bool))] = piece
    return result[..., 0]


def surviving_tops(height, depth, ratio):
    """The tops from which each way to a higher one, or to an equal one found earlier, sinks far enough.

    They are regional maxima above 0; of each its lowest pixel in rows' order is returned.
    """
    tops = []
    for value in sorted(set(height[height > 0]), reverse=True):
        pieces, count = label(height >= value, SQUARE)
        for k in range(1, count + 1):
            if (height[pieces == k] == value).all():
                tops.append((value, *np.argwhere(pieces == k)[0]))
    survivors = []
    for place, (top, y, x) in enumerate(tops):
        for value in sorted(set(height[(height > 0) & (height <= top)]), reverse=True):
            pieces, _ = label(height >= value, SQUARE)
            if any(pieces[other[1:]] == pieces[y, x] for other in tops[:place]):
                if value < min(top - depth, top * ratio):
                    survivors.append((y, x))
                break
        else:
            survivors.append((y, x))
    return survivors


def numbered(labels):
    result, numbers = np.zeros(labels.shape, int), {}
    for place, value in np.ndenumerate(labels):
        if value:
            result[place] = numbers.setdefault(int(value), len(numbers) + 1)
    return result


def beside(seeds, y, x):
    """The seeds among the eight neighbours of a pixel."""
    window = seeds[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    return sorted({int(seed) for seed in window.ravel()} - {0})


def contacts(seeds, walls):
    """Return for each pair of seeds its wall pixels, and the number of these without a third seed next to them."""
    members, own = {}, {}
    for y, x in np.argwhere(walls):
        found = beside(seeds, y, x)
        if len(found) > 3:
            found = [found[0], found[-2], found[-1]]
        for i, first in enumerate(found):
            for second in found[i + 1 :]:
                members.setdefault((first, second), []).append((int(y), int(x)))
                own[first, second] = own.get((first, second), 0) + (len(found) == 2)
    return members, own


def grow(labels, within):
    labels = labels.copy()
    while True:
        new = labels.copy()
        for y, x in np.argwhere(within & (labels == 0)):
            votes = {}
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if 0 <= y + dy < labels.shape[0] and 0 <= x + dx < labels.shape[1] and labels[y + dy, x + dx]:
                        value = int(labels[y + dy, x + dx])
                        votes[value] = votes.get(value, 0) + (2 if 0 in (dy, dx) else 1)
            if votes:
                new[y, x] = min(votes, key=lambda value: (-votes[value], value))
        if np.array_equal(new, labels):
            return labels
        labels = new


def merge(count, first, second, odds, walled):
    """One pair after the other, the likeliest first."""
    cell = list(range(count))
    for k in sorted(range(len(first)), key=lambda k: (-odds[k], k)):
        one, other = cell[first[k]], cell[second[k]]
        between = {frozenset((cell[a], cell[b])) for a, b in walled}
        if one != other and frozenset((one, other)) not in between:
            cell = [min(one, other) if its in (one, other) else its for its in cell]
    return cell


def mean_gap(first, second):
    """From the pixels of the shorter of two lists to the nearest of the other."""
    short, long = (second, first) if len(first) > len(second) else (first, second)
    return np.mean([min(np.hypot(y - v, x - u) for v, u in long) for y, x in short])


def least_gap(first, second):
    """Between the circles around the centres of two lists of pixels."""
    (y, x), (v, u) = np.mean(first, axis=0), np.mean(second, axis=0)
    radii = max(np.hypot(a - y, b - x) for a, b in first), max(np.hypot(a - v, b - u) for a, b in second)
    return np.hypot(y - v, x - u) - sum(radii)


class Shape:
    """The evidence of shape, contact by contact and pixel by pixel; nothing is beyond the image."""

    def __init__(self, contacts, mask):
        self.seeds, self.mask, self.contacts = contacts.seeds, mask, contacts
        members = zip(contacts.contact, contacts.y[contacts.pixel], contacts.x[contacts.pixel], strict=True)
        self.pixels = [[] for _ in contacts.a]
        for k, y, x in members:
            self.pixels[k].append((int(y), int(x)))
        self.pairs = list(zip(contacts.a.tolist(), contacts.b.tolist(), strict=True))

    def at(self, array, y, x):
        return array[y, x] if 0 <= y < array.shape[0] and 0 <= x < array.shape[1] else 0

    def around(self, y, x, radius):
        steps = range(-radius, radius + 1)
        return [(y + dy, x + dx) for dy in steps for dx in steps if dy or dx]

    def first_more(self, pair, places):
        found = [self.at(self.seeds, *place) for place in places]
        return found.count(pair[0]) - found.count(pair[1])

    def corners(self, cells):
        def is_concave(y, x):
            return not self.at(self.mask, y, x) and sum(self.at(self.mask, *at) for at in self.around(y, x, 1)) >= cells

        return [
            -sum(
                self.first_more(pair, self.around(*corner, 1))
                for pixel in pixels
                for corner in self.around(*pixel, 1)
                if is_concave(*corner)
            )
            for pair, pixels in zip(self.pairs, self.pixels, strict=True)
        ]

    def ends(self, pixels):
        return [at for at in pixels if not all(self.at(self.mask, *near) for near in [at, *self.around(*at, 2)])]

    def share_at_ends(self):
        shares = []
        for pair, pixels in zip(self.pairs, self.pixels, strict=True):
            more = [self.first_more(pair, self.around(*end, 2)) for end in self.ends(pixels)]
            shares.append(sum(more) / 24 / len(more) if more else 0)
        return shares

    def enclosures(self):
        area, found = self.contacts.area, []
        for k, (a, b) in enumerate(self.pairs):
            closed = not self.ends(self.pixels[k]) and self.contacts.own[k] == self.contacts.length[k]
            found.append(np.sign(area[a] - area[b]) if closed else 0)
        return found

    def leaning(self):
        found = dict.fromkeys(self.pairs, 0)
        for y, x in zip(self.contacts.y, self.contacts.x, strict=True):
            touching = set(beside(self.seeds, y, x))
            near = {int(self.at(self.seeds, *at)) for at in self.around(y, x, 2)} - {0} - touching
            pair = tuple(sorted(touching | near))
            if len(touching) == len(near) == 1 and pair in found:
                found[pair] += -1 if pair[0] in touching else 1
        return list(found.values())

    def bulge(self):
        found = []
        for pair, pixels in zip(self.pairs, self.pixels, strict=True):
            places = np.array(pixels, float)
            towards = np.zeros(2)
            for y, x in pixels:
                for near in self.around(y, x, 1):
                    towards += self.first_more(pair, [near]) * (np.array(near) - (y, x))
            y, x = (places - places.mean(axis=0)).T
            angle = np.arctan2(2 * np.sum(x * y), np.sum(x * x) - np.sum(y * y)) / 2
            normal = np.array([np.cos(angle), -np.sin(angle)])
            side = towards @ normal  # if it is 0 except for rounding, either side is right
            normal *= np.nan if abs(side) < 1e-9 else np.sign(side)
            along = (y * np.sin(angle) + x * np.cos(angle)) ** 2
            bend = np.mean((normal[0] * y + normal[1] * x) * (along - along.mean()))
            found.append(np.clip(-10 * bend / (along.mean() + 0.5) / len(pixels), -3, 3))
        return found


def candidates(contacts, below, smallest, largest, farthest, denied):
    """Return pairs of pieces next to the same third one: the smaller, the larger, and the third."""
    lower = []
    for k, (a, b) in enumerate(zip(contacts.a.tolist(), contacts.b.tolist(), strict=True)):
        row = contacts.y[contacts.pixel[contacts.contact == k]].mean()
        lower += [(a, b, below[k], row), (b, a, -below[k], row)]
    walled = {frozenset(pair) for *pair, own in zip(contacts.a, contacts.b, contacts.own, strict=True) if own}
    found = set()
    for one, top, evidence, row in lower:
        for other, its_top, its_evidence, its_row in lower:
            small, large = contacts.area[one], contacts.area[other]
            able = min(evidence, its_evidence) > denied and min(small, large) >= smallest
            near = top == its_top and one != other and abs(row - its_row) <= farthest
            worth = small <= large and small < largest * contacts.area[top]
            if able and near and worth and frozenset((one, other)) not in walled:
                found.add((one, other, top))
    return found


def odds(contacts, small, large, top, small_below, large_below, cuts):
    """The log odds of a pair, for cuts that are lists of pixels."""

    def surprise(below, ratio):
        expected = 0.01 + 0.98 / (1 + ratio**-5.0)
        return -np.log(expected + (1 - expected) * np.exp(-np.clip(below, -30, 30)))

    area = contacts.area
    smaller = np.clip(np.log(area[top] / area[small]), 0, 2)
    value = 0.5 * surprise(small_below, area[small] / area[top]) + 0.9 * surprise(large_below, area[large] / area[top])
    shorter = min(len(cut) for cut in cuts)
    return value - 1.67 + 1.7 * smaller + 0.8 * np.log(shorter) - 2 * np.log(1 + mean_gap(*cuts))
