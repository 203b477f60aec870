"""Slow, obvious targets from the original author's notes, which the package must equal exactly."""

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import dilation


def decode(text, shape, order):
    """One annotation, one run at a time."""
    flat = np.zeros(shape[0] * shape[1], bool)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(shape, order="C" if order == "row" else "F")


def encode(mask, order):
    """One mask, one pixel at a time."""
    numbers = []
    previous = False
    for position, inside in enumerate(mask.ravel(order="C" if order == "row" else "F"), start=1):
        if inside and not previous:
            numbers += [position, 0]
        if inside:
            numbers[-1] += 1
        previous = inside
    return " ".join(map(str, numbers))


def placing_order(masks, rule):
    if rule == "later-on-top":
        return list(range(len(masks)))
    return sorted(range(len(masks)), key=lambda k: -int(masks[k].sum()))  # sorted() keeps ties in order


def exclusive(masks, rule):
    """Under the rule 'background', contested pixels belong to no cell."""
    if rule != "background":
        return list(masks)
    contested = np.sum(masks, axis=0) > 1 if len(masks) else False
    return [mask & ~contested for mask in masks]


def labels(masks, shape, rule="smaller-on-top"):
    image = np.zeros(shape, int)
    own = exclusive(masks, rule)
    for k in placing_order(masks, rule):
        image[own[k]] = k + 1
    return image


def semseg(masks, shape, rule="smaller-on-top", width=3):
    """The loop of the notes: paste the dilated cell, then remove its border, for all cells in order."""
    frame = np.zeros(shape, bool)
    cells = np.zeros(shape, bool)
    own = exclusive(masks, rule)
    square = np.ones((width, width), np.uint8)
    for k in placing_order(masks, rule):
        cell = own[k]
        dilated = dilation(cell.astype(np.uint8), square).astype(bool)
        border = dilated & ~cell
        frame |= dilated
        frame &= ~border
        cells |= cell
    return np.stack([frame, cells & ~frame, ~cells], axis=-1).astype(np.uint8)


def exact_distance(mask):
    if mask.all():
        return np.full(mask.shape, np.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2), np.float32)
    return distance_transform_edt(mask).astype(np.float32)


def chamfer_distance(mask):
    """OpenCV's 3x3 mask, in 1/65536 pixel: the cheapest way out, found by relaxing until nothing changes."""
    straight, diagonal = round(0.955 * 65536), round(1.3693 * 65536)
    height, width = mask.shape
    far = np.inf
    best = np.where(mask, far, 0.0)
    steps = [(dy, dx, straight if 0 in (dy, dx) else diagonal) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    changed = True
    while changed:
        padded = np.pad(best, 1, constant_values=far)
        new = np.minimum.reduce(
            [best] + [padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] + c for dy, dx, c in steps if dy or dx]
        )
        changed = not np.array_equal(new, best)
        best = new
    return (best / 65536).astype(np.float32)


def unit_vectors(distance):
    """Pixel by pixel: central differences, one-sided at the edge."""
    height, width = distance.shape
    vectors = np.zeros((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            vectors[y, x] = _unit(_slope(distance[:, x], y), _slope(distance[y, :], x))
    return vectors


def _slope(line, k):
    if len(line) == 1:
        return np.float32(0)
    if k == 0:
        return line[1] - line[0]
    if k == len(line) - 1:
        return line[k] - line[k - 1]
    return (line[k + 1] - line[k - 1]) / np.float32(2)


def _unit(y, x):
    y = np.float32(0) if abs(y) < 1e-4 else y
    x = np.float32(0) if abs(x) < 1e-4 else x
    norm = np.sqrt(y * y + x * x)
    return (y / norm, x / norm) if norm > 0 else (0, 0)


def levels(distance, bins):
    result = np.zeros(distance.shape, int)
    for index, value in np.ndenumerate(distance):
        result[index] = sum(np.float32(edge) <= value + np.float32(1e-5) for edge in bins)
    return result


def area(masks, shape, rule="smaller-on-top"):
    image = np.zeros(shape, np.float32)
    owner = labels(masks, shape, rule)
    for k, mask in enumerate(masks):
        image[owner == k + 1] = mask.sum()
    image[owner == 0] = (owner == 0).sum()
    return image
