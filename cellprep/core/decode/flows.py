"""Flows back into cells, as Cellpose does it: pixels move along the flows, and those that meet are one cell.

The rules, and how float32 numbers are rounded on the way, are those of cellpose 4.2.1.1: `dynamics.compute_masks`, and
`utils.fill_holes_and_remove_small_masks` after it.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels
from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.core.targets.flows import flows

_AT_ONCE = 2**13  # pixels, of which all that a step needs stays in the processor's cache
_RIM = 20  # pixels around the image: what ends near its edge meets there as it does elsewhere
_SEED, _WARM = 10, 2  # of more pixels a meeting place is a seed, and may belong to one
_REACH = 5  # pixels from a seed
_LARGEST = 0.4  # of the image: a larger cell is none

Flows = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.int32]


def labels_of_flows(vectors: Flows, inside: Mask, steps: int = 200, error: float = 0.4, smallest: int = 15) -> Labels:
    """Return the cells whose pixels meet when they follow the flows.

    Parameters
    ----------
    vectors
        (H, W, 2) float32, components (y, x), of length 1 at most.
    inside
        (H, W) bool: the pixels of cells, which move.
    steps
        How often they move.
    error
        Cells whose own flows are farther from these than that are dropped: mean square, over their pixels. 0 keeps all.
    smallest
        Cells of fewer pixels are dropped, before their holes are filled, and after. 0 keeps all, and their holes.

    Returns
    -------
    ndarray
        (H, W) int32: 0 = background, instances from 1 in the order in which rows read from the top first meet them.
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
    """Return the place, (2, n), row and column, where each pixel of cells ends.

    In each step a pixel moves by the flow where it is, interpolated between four pixels. Flows outside cells are 0.
    Cellpose reads them up to half a pixel away: to the upper left of the pixel in the upper left of the image, and to
    the lower right in the lower right.
    """
    size = np.array(inside.shape, np.float32)
    last = np.maximum(size - 1, 1)  # in an image of one row there is no way to go
    around = np.zeros((2, inside.shape[0] + 2, inside.shape[1] + 2), np.float32)
    # Places go from -1 to 1, and flows with them.
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
    """Return where places, (2, n), are after some steps, given the flows, (2, H + 2, W + 2), in the same unit."""
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
    """Return the cells of which each pixel ends, (2, n), where others of its cell do.

    A place is a seed if more than 10 pixels end there, and in no other up to 2 pixels away more. Its cell is all that
    ends in it, or in a place to which at most 5 steps lead over places where more than 2 pixels end. Of several seeds
    the one where the most end has it. What ends elsewhere is nobody's, as are cells of more than 2/5 of the image.
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
    """Return the places of a window to which no more steps lead from its middle than it reaches, over warm ones."""
    import cv2

    found = np.zeros_like(warm)
    found[_REACH, _REACH] = 1
    for _ in range(_REACH):
        found = cv2.dilate(found, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False) & warm
    return found > 0


def _errors(labels: Labels, vectors: Flows) -> NDArray[np.float64]:
    """Return the mean square difference of each cell's own flows from those given, by its number."""
    apart = np.square(flows(labels).astype(np.float64) - vectors).sum(axis=-1)
    return np.bincount(labels.ravel(), apart.ravel()) / np.maximum(np.bincount(labels.ravel()), 1)


def _dropped(labels: Labels, wrong: NDArray[np.bool_]) -> Labels:
    """Return the cells that are not wrong, (n,) by their numbers, numbered anew."""
    return number_in_raster_order(np.where(wrong[labels], 0, labels)).astype(np.int32)


def _filled(labels: Labels) -> Labels:
    """Return cells without holes: what is in one is the cell's, even if it had been another's."""
    from scipy.ndimage import binary_fill_holes, find_objects

    labels = labels.copy()
    for number, box in enumerate(find_objects(labels), start=1):
        labels[box][binary_fill_holes(labels[box] == number)] = number
    return labels
