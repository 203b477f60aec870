"""Basins around the h-maxima of the energy: the decoder for round cells and for energy from networks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, components
from cellprep.core.decode.decoder import Decoder
from cellprep.core.decode.growing import grow
from cellprep.core.decode.maps import Maps
from cellprep.core.tuning import option

#: Offsets (y, x) that visit each pair of 8-connected neighbours once.
_STEPS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True)
class Tops(Decoder):
    """Divide the mask without walls into basins around the maxima of the energy, then grow them into the walls.

    Two maxima belong to different cells if every path between them falls by more than `depth` below the lower one, and
    below `ratio` times its height. Each pixel belongs to the maximum that it lies below.
    """

    smoothing: float = option(
        1.0,
        "standard deviation of the Gaussian that smooths the energy, in pixels; 0 for none",
        0,
        20,
        tried=(0.7, 1, 1.5, 2),
    )
    depth: float = option(
        1.0,
        "minimum drop of the energy between two cells, below the lower maximum, in levels",
        0,
        255,
        tried=(0.5, 1, 1.5, 2, 3),
    )
    ratio: float = option(
        0.7,
        "share of the lower maximum that the energy between two cells must fall below",
        0,
        1,
        tried=(0.6, 0.7, 0.8, 0.9),
    )

    def __call__(self, maps: Maps) -> Labels:
        """Decode."""
        return grow(self.part(maps.energy, maps.mask & ~maps.walls), maps.mask)

    def part(self, energy: NDArray[np.uint8], area: NDArray[np.bool_]) -> Labels:
        """Divide an area into basins around the maxima of its energy.

        Parameters
        ----------
        energy
            (H, W) uint8 levels.
        area
            (H, W) bool: the area to divide.

        Returns
        -------
        ndarray
            (H, W) int32: 1, 2, ..., and 0 outside the area.

        Examples
        --------
        >>> energy = np.array([[7, 7, 7, 1, 1, 1, 7, 7, 7]], np.uint8)
        >>> Tops().part(energy, energy > 0)
        array([[1, 1, 1, 1, 1, 2, 2, 2, 2]], dtype=int32)
        """
        from skimage.morphology import local_maxima
        from skimage.segmentation import watershed

        ground = np.where(area, np.maximum(energy, np.float32(0.5)), np.float32(0))  # so that level 0 has maxima, too
        height = smooth(ground, self.smoothing) * area
        peaks = local_maxima(np.pad(height, 1), connectivity=2)[1:-1, 1:-1].astype(bool)  # including plateaus
        basins: Labels = watershed(-height, components(peaks & area), connectivity=2, mask=area).astype(np.int32)
        return self._merge(basins, height)

    def _merge(self, basins: Labels, height: NDArray[np.float32]) -> Labels:
        count = int(basins.max()) + 1
        top = np.zeros(count, np.float32)
        np.maximum.at(top, basins.ravel(), height.ravel())
        root = list(range(count))

        def find(basin: int) -> int:
            while root[basin] != basin:
                root[basin] = basin = root[root[basin]]
            return basin

        for saddle, *pair in _passes(basins, height):
            first, second = sorted(map(find, pair), key=lambda basin: top[basin])
            if saddle >= min(top[first] - self.depth, top[first] * self.ratio):
                root[first] = second
        names = np.unique([find(basin) for basin in range(count)], return_inverse=True)[1]
        merged: Labels = names.astype(np.int32)[basins]
        return merged


def smooth(height: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Smooth heights with a Gaussian of a given standard deviation in pixels, with reflection at the edges."""
    import cv2

    if not spread:
        return height
    smoothed = cv2.GaussianBlur(height, (0, 0), spread, borderType=cv2.BORDER_REFLECT)
    return smoothed.astype(np.float32, copy=False).reshape(height.shape)


def _passes(basins: Labels, height: NDArray[np.float32]) -> list[tuple[float, int, int]]:
    """Return the highest pass between each two adjacent basins, in descending order."""
    pairs, heights = [], []
    for dy, dx in _STEPS:
        here = slice(0, basins.shape[0] - dy), slice(max(0, -dx), basins.shape[1] - max(0, dx))
        there = slice(dy, None), slice(max(0, dx), basins.shape[1] + min(0, dx))
        meet = (basins[here] != basins[there]) & (basins[here] > 0) & (basins[there] > 0)
        pairs.append(np.sort(np.stack([basins[here][meet], basins[there][meet]], axis=1), axis=1))
        heights.append(np.minimum(height[here][meet], height[there][meet]))
    met, place = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    highest = np.zeros(len(met), np.float32)
    np.maximum.at(highest, place.ravel(), np.concatenate(heights))
    order = np.argsort(-highest, kind="stable")
    return [(float(highest[k]), int(met[k, 0]), int(met[k, 1])) for k in order]
