"""Slow, obvious versions of Cellpose's rules: pixel by pixel, with its order of additions and rounding."""

import numpy as np
from scipy.ndimage import binary_fill_holes

AROUND = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def flows(labels):
    """The flows of an image, (H, W, 2)."""
    labels = np.pad(labels, 1)
    heat, result, centres, extents = np.zeros(labels.shape), np.zeros((*labels.shape, 2)), [], []
    for cell in np.unique(labels[labels > 0]):
        y, x = np.nonzero(labels == cell)
        # Halves are rounded to the even number, counted from the corner of the bounding box.
        mean_y, mean_x = (int(np.round(np.mean(place - place.min()))) + int(place.min()) for place in (y, x))
        ways = [(b - mean_y) ** 2 + (a - mean_x) ** 2 for b, a in zip(y, x, strict=True)]
        centres.append((y[np.argmin(ways)], x[np.argmin(ways)]))
        extents.append(np.ptp(y) + 1 + np.ptp(x) + 1 + 2)
    for _ in range(2 * max(extents, default=0)):
        for centre in centres:
            heat[centre] += 1
        total = np.zeros_like(heat)
        for step in AROUND:
            back = (-step[0], -step[1])
            total += np.where(np.roll(labels, back, (0, 1)) == labels, np.roll(heat, back, (0, 1)), 0)
        heat = np.where(labels > 0, total / 9, 0)
    for y, x in zip(*np.nonzero(labels), strict=True):
        slope = np.array([heat[y + 1, x] - heat[y - 1, x], heat[y, x + 1] - heat[y, x - 1]])
        result[y, x] = slope / (1e-60 + np.sqrt(np.sum(slope**2)))
    return result[1:-1, 1:-1].astype(np.float32)


def ends(vectors, inside, steps):
    """Return the end point of each pixel of cells, (2, n): in float32, in halves of the image."""
    one, half, shape = np.float32(1), np.float32(0.5), np.array(inside.shape)
    last = np.maximum(shape - 1, 1).astype(np.float32)
    padded = np.zeros((shape[0] + 2, shape[1] + 2, 2), np.float32)
    padded[1:-1, 1:-1] = np.where(inside[..., None], vectors * (np.float32(2) / last), 0)
    result = []
    for pixel in np.argwhere(inside):
        at = pixel.astype(np.float32) / last * np.float32(2) - one
        for _ in range(steps):
            read = (at + one) * (shape.astype(np.float32) / np.float32(2)) - half
            y, x = np.floor(read).astype(int) + 1
            b, a = read - np.floor(read)
            move = padded[y, x] * ((one - a) * (one - b))
            move = move + padded[y, x + 1] * (a * (one - b))
            move = move + padded[y + 1, x] * ((one - a) * b)
            move = move + padded[y + 1, x + 1] * (a * b)
            at = np.clip(at + move, -one, one)
        result.append(((at + one) * half * last).astype(int))
    return np.array(result, int).reshape(-1, 2).T


def meeting(places, inside):
    """The cells of pixels that end in these places."""
    counts, labels = np.zeros(np.add(inside.shape, 40), int), np.zeros(inside.shape, int)
    np.add.at(counts, tuple(places + 20), 1)
    seeds = [
        (counts[y, x], y, x)
        for y, x in np.argwhere(counts > 10)
        if counts[y, x] == counts[y - 2 : y + 3, x - 2 : x + 3].max()
    ]
    owners = np.zeros_like(counts)
    for number, (_, y, x) in enumerate(sorted(seeds), start=1):
        found = {(y, x)}
        for _ in range(5):
            found |= {(b + v, a + u) for b, a in found for v, u in AROUND if counts[b + v, a + u] > 2}
        for place in found:
            owners[place] = number
    labels[inside] = owners[tuple(places + 20)]
    for number, size in enumerate(np.bincount(labels.ravel())):
        if size > labels.size * 0.4:
            labels[labels == number] = 0
    return labels


def cleaned(labels, vectors, error, smallest):
    """Cells, numbered in raster order, of which those with wrong flows and small ones are dropped, and holes filled."""
    own = flows(labels)
    kept = [k for k in np.unique(labels)[1:] if np.mean(np.sum((own - vectors)[labels == k] ** 2, axis=-1)) <= error]
    kept = [k for k in kept if np.sum(labels == k) >= smallest]
    result = np.where(np.isin(labels, kept), labels, 0)
    for number in sorted(kept, key=lambda k: np.flatnonzero(labels == k)[0]):
        result[binary_fill_holes(result == number)] = number
    return np.where(np.isin(result, [k for k in kept if np.sum(result == k) >= smallest]), result, 0)
