"""Cells from the rays of StarDist: polygons, without those that overlap a better one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels

Polygons = NDArray[np.float64]


def star_to_labels(
    probability: NDArray[Any],
    rays: NDArray[Any],
    least: float = 0.5,
    most_overlap: float = 0.4,
    edge: int = 2,
) -> Labels:
    """Return the cells from StarDist's rays, as its ``non_maximum_suppression`` and ``polygons_to_label`` do.

    Each pixel above the threshold is the centre of a polygon; its corners are the ends of the rays. In descending order
    of probability, a polygon is kept unless it overlaps a kept one too much: by the number of shared pixels, relative
    to the smaller polygon. Ties are resolved in raster order. In the result, the most probable polygons lie on top.

    StarDist measures the areas of polygons. Here pixels are counted, with corners rounded towards 0 as in StarDist.
    StarDist's order of ties is unspecified.

    Parameters
    ----------
    probability
        (H, W).
    rays
        (H, W, n) lengths in pixels, as returned by `star_distances`.
    least
        Only pixels with a higher probability are centres.
    most_overlap
        Largest shared fraction of the smaller polygon.
    edge
        Width in pixels of a border without centres, even if the image has no others.

    Returns
    -------
    ndarray
        (H, W) int32: 0 = background; the most probable cell is 1.

    Examples
    --------
    >>> from cellprep.core.targets.stardist import star_distances, star_probability
    >>> cells = np.zeros((30, 40), int)
    >>> cells[5:25, 5:20], cells[5:25, 20:35] = 1, 2
    >>> np.unique(star_to_labels(star_probability(cells), star_distances(cells)))
    array([0, 1, 2], dtype=int32)
    """
    from skimage.draw import polygon

    height, width = probability.shape
    middle = slice(edge, max(height - edge, edge)), slice(edge, max(width - edge, edge))
    centres = np.argwhere(probability[middle] > least) + edge
    order = np.argsort(-probability[tuple(centres.T)], kind="stable")
    centres = centres[order]
    polygons = _polygons(centres, rays[tuple(centres.T)])
    labels = np.zeros((height, width), np.int32)
    kept = _without_overlapping(polygons, most_overlap)
    for number, (y, x) in reversed(list(enumerate(polygons[kept], start=1))):
        labels[polygon(y, x, labels.shape)] = number
    return labels


def _polygons(centres: NDArray[np.intp], rays: NDArray[Any]) -> Polygons:
    """Return the corners of polygons, (m, 2, n): components (y, x)."""
    angles = np.linspace(0, 2 * np.pi, rays.shape[1], endpoint=False)
    offsets = (rays[:, None] * np.array([np.sin(angles), np.cos(angles)])).astype(np.float32)
    corners: Polygons = (offsets + centres[..., None].astype(np.float32)).astype(np.float64)
    return corners


def _without_overlapping(polygons: Polygons, most: float) -> list[int]:
    """Return the indices of polygons that overlap no kept one before them, in ascending order."""
    import cv2

    corners = np.ascontiguousarray(np.trunc(polygons[:, ::-1]).astype(np.int32).transpose(0, 2, 1))  # x, y
    low, high = corners.min(axis=1), corners.max(axis=1)
    in_boxes, sizes = corners - low[:, None], (high - low + 1)[:, ::-1].tolist()
    left = np.ones(len(polygons), np.bool_)
    kept = []
    for best in range(len(polygons)):
        if left[best]:
            kept.append(best)
            left[best] = False
            near = np.flatnonzero(left & (low <= high[best]).all(axis=1) & (high >= low[best]).all(axis=1))
            first, last = low[[best, *near]].min(axis=0), high[[best, *near]].max(axis=0)
            around = cv2.fillPoly(np.zeros((last - first + 1)[::-1], np.uint8), [corners[best] - first], 1)
            area = cv2.countNonZero(around)
            for other, (x, y) in zip(near.tolist(), (low[near] - first).tolist(), strict=True):
                height, width = sizes[other]
                drawn = cv2.fillPoly(np.zeros((height, width), np.uint8), [in_boxes[other]], 1)
                shared = cv2.countNonZero(cv2.bitwise_and(drawn, around[y : y + height, x : x + width]))
                left[other] = shared <= most * min(area, cv2.countNonZero(drawn))
    return kept
