"""Cells from flows, as in Cellpose: pixels move along the flows, and pixels that converge form a cell.

Rules and float32 rounding are those of cellpose 4.2.1.1: `dynamics.compute_masks`, followed by
`utils.fill_holes_and_remove_small_masks`.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels
from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.core.targets.flows import flows

_AT_ONCE = 2**13  # pixels per batch, so that a step's data stay in the processor's cache
_RIM = 20  # padding in pixels, so that pixels converge at the image's edge as elsewhere
_SEED, _WARM = 10, 2  # pixels beyond which a meeting point is a seed, or may be part of one
_REACH = 5  # largest distance from a seed, in pixels
_LARGEST = 0.4  # largest share of the image that a cell may cover

Flows = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.int32]


def labels_of_flows(vectors: Flows, inside: Mask, steps: int = 200, error: float = 0.4, smallest: int = 15) -> Labels:
    """Return the cells formed by pixels that converge when they follow the flows.

    Parameters
    ----------
    vectors
        (H, W, 2) float32, components (y, x), of length 1 or less.
    inside
        (H, W) bool: pixels of cells; only these move.
    steps
        Number of steps.
    error
        Cells whose recomputed flows differ by more than this mean squared error are removed. 0 keeps all.
    smallest
        Cells with fewer pixels are removed, before and after holes are filled. 0 keeps all cells and holes.

    Returns
    -------
    ndarray
        (H, W) int32: 0 = background, instances from 1 in raster order of their first pixels.
    """
    labels = meeting(follow(vectors, inside, steps), inside)
    if error > 0:
        labels = _dropped(labels, _errors(labels, vectors) > error)
    if smallest > 0:
        labels = _dropped(labels, np.bincount(labels.ravel()) < smallest)
        labels = _filled(labels)
        labels = _dropped(labels, np.bincount(labels.ravel()) < smallest)
    return labels


def follow(vectors: Flows, inside: Mask, steps: int) -> Places:
    """Return the final position of each cell pixel, (2, n), row and column.

    In each step a pixel moves by the flow at its position, interpolated bilinearly. Flows outside cells are 0. Cellpose
    reads flows up to half a pixel off: towards the upper left in the upper left of the image, and towards the lower
    right in the lower right.
    """
    size = np.array(inside.shape, np.float32)
    last = np.maximum(size - 1, 1)  # in an image with one row there is no movement along y
    around = np.zeros((2, inside.shape[0] + 2, inside.shape[1] + 2), np.float32)
    # Positions are scaled to -1 to 1, and flows accordingly.
    np.multiply(np.moveaxis(vectors, -1, 0), (2 / last)[:, None, None], out=around[:, 1:-1, 1:-1], where=inside)
    pixels: Flows = np.stack(np.nonzero(inside)).astype(np.float32)
    start: Flows = np.subtract(pixels / last[:, None] * 2, 1, dtype=np.float32)
    parts = [
        _moved(start[:, first : first + _AT_ONCE], around, size, steps) for first in range(0, start.shape[1], _AT_ONCE)
    ]
    end = np.concatenate([start[:, :0], *parts], axis=1)
    places: Places = ((end + 1) * np.float32(0.5) * last[:, None]).astype(np.int32)
    return places


def _moved(at: Flows, around: Flows, size: NDArray[np.float32], steps: int) -> Flows:
    """Move positions, (2, n), by several steps along the flows, (2, H + 2, W + 2), in the same unit."""
    stride = around.shape[2]
    across = around.reshape(2, -1)
    for _ in range(steps):
        read = (at + 1) * (size / 2)[:, None] - np.float32(0.5)
        corner = np.floor(read)
        lower, right = read - corner
        upper, left = 1 - lower, 1 - right
        row, column = corner.astype(np.intp) + 1
        pixel = row * stride + column
        shares = (left * upper, right * upper, left * lower, right * lower)
        found = [across.take(pixel + offset, axis=1) for offset in (0, 1, stride, stride + 1)]
        move = sum(flow * share for flow, share in zip(found, shares, strict=True))
        at = np.clip(at + move, -1, 1)
    return at


def meeting(ends: Places, inside: Mask) -> Labels:
    """Group pixels into cells by their final positions, (2, n).

    A position is a seed if more than 10 pixels end there and no position up to 2 pixels away has more. Its cell is all
    pixels that end at the seed, or within 5 steps of it over positions with more than 2 pixels. A position near several
    seeds belongs to the one with most pixels. Other pixels are background, as are cells larger than 2/5 of the image.
    """
    import cv2

    rows, columns = (size + 2 * _RIM for size in inside.shape)
    place = (ends[0] + _RIM) * columns + ends[1] + _RIM
    counts = np.bincount(place, minlength=rows * columns).reshape(rows, columns).astype(np.float32)
    tops = (counts == cv2.dilate(counts, np.ones((5, 5), np.uint8))) & (counts > _SEED)
    seeds = np.argwhere(tops)[np.argsort(counts[tops], kind="stable")]
    owners = np.zeros((rows, columns), np.int32)
    warm = (counts > _WARM).view(np.uint8)
    for number, (row, column) in enumerate(seeds, start=1):
        window = (slice(row - _REACH, row + _REACH + 1), slice(column - _REACH, column + _REACH + 1))
        owners[window][_joined(warm[window])] = number
    labels = np.zeros(inside.shape, np.int32)
    labels[inside] = owners.ravel()[place]
    return _dropped(labels, np.bincount(labels.ravel()) > inside.size * _LARGEST)


def _joined(warm: NDArray[np.uint8]) -> Mask:
    """Return the positions of a window that are connected to its centre over warm positions, within its radius."""
    import cv2

    found = np.zeros_like(warm)
    found[_REACH, _REACH] = 1
    for _ in range(_REACH):
        found = cv2.dilate(found, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False) & warm
    return found > 0


def _errors(labels: Labels, vectors: Flows) -> NDArray[np.float64]:
    """Return the mean squared difference between each cell's recomputed flows and the given ones."""
    apart = np.square(flows(labels).astype(np.float64) - vectors).sum(axis=-1)
    return np.bincount(labels.ravel(), apart.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)


def _dropped(labels: Labels, wrong: NDArray[np.bool_]) -> Labels:
    """Remove the cells marked as wrong, (n,) bool, and renumber the rest."""
    return number_in_raster_order(np.where(wrong[labels], 0, labels)).astype(np.int32)


def _filled(labels: Labels) -> Labels:
    """Fill the holes of cells. Pixels of other cells in a hole are overwritten."""
    from scipy.ndimage import binary_fill_holes, find_objects

    labels = labels.copy()
    for number, box in enumerate(find_objects(labels), start=1):
        labels[box][binary_fill_holes(labels[box] == number)] = number
    return labels
