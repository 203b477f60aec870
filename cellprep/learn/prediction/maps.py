"""The predicted maps of an image, in as few bytes as decoding needs, and their decoding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE, look_up
from cellprep.core.decode import energy_to_labels
from cellprep.learn.settings import Decoding

#: Indices of the channels of ``semseg``.
WALL, BACKGROUND = 1, 2

_AT_ONCE = 1 << 24  # pixels decoded at once; they take 25 to 40 bytes each, or hundreds if most of them are walls
_CORE, _HALO = 1024, 512


@dataclass(frozen=True, slots=True)
class PredictedMaps:
    """The maps of one image.

    Attributes
    ----------
    classes
        (H, W) uint8: the channel of ``semseg`` that is 1.
    walls_known
        Whether `classes` contain walls; given masks have none.
    energy
        (H, W) uint8: levels, 0 outside the cells. None for a dn alone, which only predicts vectors.
    still
        (H, W) bool: pixels of cells without a vector.
    confidence
        (H, W) uint8, 255 for a probability of 1: that of a cell or wall by the semantic network; without one, that of
        the energy level. None unless requested.
    uvec
        (H, W, 2) float16 unit vectors, components (y, x). None unless requested.
    types
        The names of the networks' classes of cells, in the order of the network's channels.
    type_probabilities
        (K, H, W) uint8, 255 for a probability of 1: that of each of these classes, given that there is a cell. None if
        the networks have no classes, or did not see the image.
    """

    classes: NDArray[np.uint8]
    walls_known: bool
    energy: NDArray[np.uint8] | None
    still: NDArray[np.bool_]
    confidence: NDArray[np.uint8] | None = None
    uvec: NDArray[np.float16] | None = None
    types: tuple[str, ...] = ()
    type_probabilities: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        height, width = self.classes.shape
        return height, width


def find_instances(maps: PredictedMaps, decoding: Decoding) -> tuple[NDArray[Any], int]:
    """Decode maps, and remove instances that are too small.

    Returns
    -------
    labels
        (H, W) uint16, or uint32 beyond 65,535 instances; numbered in raster order.
        int
            Number of instances removed.
    """
    labels = decode_maps(maps, decoding)
    return labels, leave_out_small(labels, decoding.min_area)


def leave_out_small(labels: NDArray[Any], min_area: int) -> int:
    """Set instances with fewer pixels to 0, renumber the others, and return the number of instances removed."""
    large = count_pixels(labels) >= min_area
    large[0] = False
    left_out = len(large) - 1 - int(large.sum())
    if left_out:
        _look_up_in_place(np.where(large, np.cumsum(large), 0).astype(labels.dtype), labels)
    return left_out


def _look_up_in_place(table: NDArray[Any], labels: NDArray[Any]) -> None:
    """Replace labels by ``table[labels]`` in place, as there may be no memory for both."""
    for top in range(0, len(labels), ROWS_AT_ONCE):
        labels[top : top + ROWS_AT_ONCE] = table[labels[top : top + ROWS_AT_ONCE]]


def count_pixels(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of pixels of each label, starting with 0: (n + 1,)."""
    area = np.zeros(int(labels.max()) + 1, np.int64)
    for top in range(0, len(labels), ROWS_AT_ONCE):
        area += np.bincount(labels[top : top + ROWS_AT_ONCE].ravel(), minlength=len(area))
    return area


def decode_maps(maps: PredictedMaps, decoding: Decoding, at_once: int = _AT_ONCE) -> NDArray[Any]:
    """Decode maps as `cellprep.energy_to_labels` does, large ones in overlapping blocks.

    A block is decoded with 512 pixels around it, and its instances are those whose first pixel is in it. Clusters that
    end within those 512 pixels have the same result as if everything were decoded at once; in larger ones, the earlier
    of two blocks that disagree is used.

    Parameters
    ----------
    maps
        The maps.
    decoding
        The decoder and its options.
    at_once
        Number of pixels above which the maps are split into blocks.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 instances; numbered in the order in which rows meet them.
    """
    whole = (slice(None), slice(None))
    if maps.classes.size <= at_once:
        return _decode(maps, whole, decoding)
    return _decode_blocks(maps, decoding, _CORE, _HALO)


def _decode(maps: PredictedMaps, window: tuple[slice, slice], decoding: Decoding) -> NDArray[Any]:
    assert maps.energy is not None
    classes, moving = maps.classes[window], ~maps.still[window]
    return energy_to_labels(
        maps.energy[window],
        np.broadcast_to(moving[..., None], (*moving.shape, 2)),
        classes != BACKGROUND,
        classes == WALL if maps.walls_known else None,
        decoding.decoder,
        decoding.options,
    )


def _decode_blocks(maps: PredictedMaps, decoding: Decoding, core: int, halo: int) -> NDArray[Any]:
    height, width = maps.shape
    labels = np.zeros((height, width), np.uint32)
    firsts: list[NDArray[np.int64]] = []
    count = 0
    for top in range(0, height, core):
        for left in range(0, width, core):
            window = slice(max(0, top - halo), top + core + halo), slice(max(0, left - halo), left + core + halo)
            found = _decode(maps, window, decoding)
            found[labels[window] > 0] = 0
            y, x = _first_pixels(found)
            y, x = y + window[0].start, x + window[1].start
            own = (y >= top) & (y < top + core) & (x >= left) & (x < left + core)
            number = np.zeros(int(found.max()) + 1, np.uint32)
            number[found[y[own] - window[0].start, x[own] - window[1].start]] = count + 1 + np.arange(own.sum())
            labels[window] += number[found]
            firsts.append(y[own] * width + x[own])
            count += int(own.sum())
    return _renumber(labels, np.concatenate(firsts))


def _first_pixels(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the first pixel of each existing label."""
    flat = labels.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))  # a label first occurs where the value changes
    values, place = np.unique(flat[starts], return_index=True)
    first = starts[place[values > 0]]
    y, x = np.divmod(first, labels.shape[1])
    return y, x


def _renumber(labels: NDArray[np.uint32], firsts: NDArray[np.int64]) -> NDArray[Any]:
    """Renumber the labels 1 to n in the order of their first pixels."""
    number = np.zeros(len(firsts) + 1, np.uint16 if len(firsts) <= np.iinfo(np.uint16).max else np.uint32)
    number[1 + np.argsort(firsts)] = np.arange(1, len(firsts) + 1)
    if number.dtype == labels.dtype:
        _look_up_in_place(number, labels)
        return labels
    return look_up(number, labels)


def mean_confidence(confidence: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean probability of the pixels of each instance: (n,), from 0 to 1.

    Examples
    --------
    >>> mean_confidence(np.array([[255, 0, 51]], np.uint8), np.array([[1, 1, 2]]))
    array([0.5, 0.2])
    """
    mean: NDArray[np.float64] = sums_of_labels(confidence, labels)[1:] / count_pixels(labels)[1:] / 255
    return mean


def sums_of_labels(values: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the exact sum of the values of the pixels of each label, starting with 0: (n + 1,)."""
    total = np.zeros(int(labels.max()) + 1)
    for top in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        total += np.bincount(labels[rows].ravel(), values[rows].ravel(), len(total))
    return total
