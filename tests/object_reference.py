"""Slow, obvious versions of other packages' targets: pixel by pixel, cell by cell."""

from math import exp, hypot, sqrt

import numpy as np


def pixels_of(labels):
    """The pixels of each cell, in the order of rows."""
    return {label: list(zip(*np.nonzero(labels == label), strict=True)) for label in sorted(set(labels.flat) - {0})}


def affinities(labels, offsets, *, foreground, mask, ignored, ignored_borders):
    """torch-em's, channels first."""
    known, channels, masks = lambda value: value != ignored, [], []
    if foreground:
        channels.append(labels != 0)
        masks.append([[known(value) for value in row] for row in labels])
    for dy, dx in offsets:
        channels.append(np.ones(labels.shape))
        masks.append(np.zeros(labels.shape))
        for y, x in np.ndindex(labels.shape):
            if 0 <= y + dy < labels.shape[0] and 0 <= x + dx < labels.shape[1]:
                one, other = labels[y, x], labels[y + dy, x + dx]
                channels[-1][y, x] = not (one == other and known(one))
                sure = (known(one) or known(other)) if ignored_borders else (known(one) and known(other))
                masks[-1][y, x] = sure
    return np.array([*channels, *(masks if mask else [])])


def border(labels, thickness):
    """Return the pixels that erosion by a disc removes from each cell separately."""
    found = np.zeros(labels.shape, bool)
    for (y, x), own in np.ndenumerate(labels):
        for (row, column), other in np.ndenumerate(labels):
            if own and other != own and hypot(row - y, column - x) <= thickness:
                found[y, x] = True
    return found


def distance(labels, y, x):
    """Return the distance of a pixel from the nearest one with another label."""
    return min(hypot(row - y, column - x) for row, column in np.argwhere(labels != labels[y, x]))


def pieces(labels):
    """Each 8-connected piece of a cell as a cell."""
    found = np.zeros(labels.shape, int)
    for place, label in np.ndenumerate(labels):
        if label and not found[place]:
            found[place] = found.max() + 1
            ahead = [place]
            while ahead:
                y, x = ahead.pop()
                for row in range(max(y - 1, 0), min(y + 2, labels.shape[0])):
                    for column in range(max(x - 1, 0), min(x + 2, labels.shape[1])):
                        if labels[row, column] == label and not found[row, column]:
                            found[row, column] = found[place]
                            ahead.append((row, column))
    return found


def object_distances(labels, *, directed, smallest):
    """torch-em's, of objects that are the labels."""
    result = np.ones((*labels.shape, 5 if directed else 3), np.float32)
    result[..., 0] = 0
    height, width = labels.shape
    for label, pixels in pixels_of(labels).items():
        if len(pixels) < smallest:
            continue
        rim = [
            (y, x)
            for y, x in pixels
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
            if 0 <= y + dy < height and 0 <= x + dx < width and labels[y + dy, x + dx] != label
        ] or [(-1, 0)]
        deep = [np.float32(sqrt(min((y - row) ** 2 + (x - column) ** 2 for row, column in rim))) for y, x in pixels]
        rows, columns = zip(*pixels, strict=True)
        centre = round(sum(rows) / len(rows)), round(sum(columns) / len(columns))
        if centre not in pixels:
            centre = pixels[deep.index(max(deep))] if max(deep) else (min(rows), min(columns))
        steps = [(centre[0] - y, centre[1] - x) for y, x in pixels]
        values = [[sqrt(dy**2 + dx**2), *((dy, dx) if directed else ())] for dy, dx in steps]
        values = np.array([[*these, max(deep) - depth] for these, depth in zip(values, deep, strict=True)], np.float32)
        values /= np.abs(values).max(axis=0) + np.float32(1e-7)
        for place, these in zip(pixels, values, strict=True):
            result[place] = [1, *these]
    return result


def centre_heat(labels, sigma):
    """Panoptic-DeepLab's."""
    heat = np.zeros(labels.shape, np.float32)
    for pixels in pixels_of(labels).values():
        centre = [int(sum(places) / len(places)) for places in zip(*pixels, strict=True)]
        for y, x in np.ndindex(labels.shape):
            dy, dx = y - centre[0], x - centre[1]
            if max(abs(dy), abs(dx)) <= 3 * sigma + 1:
                heat[y, x] = max(heat[y, x], exp(-(dy**2 + dx**2) / (2 * sigma**2)))
    return heat


def centre_offsets(labels):
    """Panoptic-DeepLab's."""
    offsets = np.zeros((*labels.shape, 2), np.float32)
    for pixels in pixels_of(labels).values():
        centre = [sum(places) / len(places) for places in zip(*pixels, strict=True)]
        for y, x in pixels:
            offsets[y, x] = centre[0] - y, centre[1] - x
    return offsets
