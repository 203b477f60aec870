"""Decoding the slow, obvious way: what the package must equal exactly."""

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
    """Per pair of seeds its wall pixels, and how many of these have no third seed beside them."""
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
