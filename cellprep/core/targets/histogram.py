"""Histograms of distances, to which energy bins are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.energy import energy_levels


@dataclass(frozen=True, slots=True, eq=False)
class DistanceHistogram:
    """The exact distances that occur, with the number of pixels of each.

    On a pixel grid there are few of them: each belongs to an offset between two pixels, so that their number grows with
    the square of the largest distance, regardless of the number of images.

    Attributes
    ----------
    values
        (n,) float32, in pixels, ascending.
    counts
        (n,) int64, each at least 1.

    Examples
    --------
    >>> one = DistanceHistogram.of(np.array([1, 1, 2], np.float32))
    >>> both = one + DistanceHistogram.of(np.array([2, 3], np.float32))
    >>> both.values, both.counts
    (array([1., 2., 3.], dtype=float32), array([2, 2, 1]))
    >>> both.pixels_by_level([1, 3])
    array([0, 4, 1])
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, distances: NDArray[np.float32]) -> "DistanceHistogram":
        """Count distances: an array of any shape, which may be empty."""
        values, counts = np.unique(distances, return_counts=True)
        return cls(values, counts)

    def __add__(self, other: "DistanceHistogram") -> "DistanceHistogram":
        values, places = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, places, np.concatenate([self.counts, other.counts]))
        return DistanceHistogram(values, counts)

    @property
    def pixels(self) -> int:
        """Total number of pixels."""
        return int(self.counts.sum())

    def pixels_by_level(self, bins: Sequence[float]) -> NDArray[np.int64]:
        """Return the number of pixels of each energy level, as defined by `energy_levels`: (bins + 1,) int64."""
        pixels = np.zeros(len(bins) + 1, np.int64)
        np.add.at(pixels, energy_levels(self.values, bins), self.counts)
        return pixels
