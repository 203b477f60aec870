"""Centres of cells, and the offset to them from each pixel, as learned by Panoptic-DeepLab.

The rules are those of its `PanopticTargetGenerator` (Cheng et al., CVPR 2020), for instances of one class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.family import Family
from cellprep.core.targets.objects import Objects
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values, Vectors
from cellprep.core.tuning import option

SIGMA = 8  # pixels


def centre_heat(labels: NDArray[Any], sigma: int = SIGMA, origin: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """Return a heat map with a Gaussian at the centre of each cell.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    sigma
        Standard deviation of the Gaussians, in pixels.
    origin
        Row and column in the image of the first pixel of `labels`, if these are a part of it.

    Returns
    -------
    ndarray
        (H, W) float32: a Gaussian of height 1 within ``3 * sigma + 1`` pixels of the centre along each axis, and 0
        farther away; the maximum where several overlap. The centre is the mean of the cell's pixels, rounded down.

    Examples
    --------
    >>> centre_heat(np.array([[5, 5, 5, 5, 0, 0]]), sigma=1).round(2)
    array([[0.61, 1.  , 0.61, 0.14, 0.01, 0.  ]], dtype=float32)
    """
    reach = 3 * sigma + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    hill = np.exp(-(x**2 + y**2) / (2 * sigma**2)).astype(np.float32)
    # The image is padded, so that Gaussians may extend beyond it.
    height, width = labels.shape
    heat = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    centres = Objects.of(labels, origin).centres.astype(np.int64) - origin
    for top, left in centres.tolist():
        part = heat[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        np.maximum(part, hill, out=part)
    return np.ascontiguousarray(heat[reach : reach + height, reach : reach + width])


def centre_offsets(labels: NDArray[Any], origin: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """Return the offset from each pixel to the centre of its cell.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    origin
        Row and column in the image of the first pixel of `labels`, if these are a part of it; they affect rounding.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x) in pixels, to the mean of the cell's pixels; 0 in the background.

    Examples
    --------
    >>> centre_offsets(np.array([[5, 5, 5, 5, 0, 0]]))[0, :, 1]
    array([ 1.5,  0.5, -0.5, -1.5,  0. ,  0. ], dtype=float32)
    """
    objects = Objects.of(labels, origin)
    result = np.zeros((labels.size, 2), np.float32)
    if len(objects):
        places = np.stack([objects.rows, objects.columns], axis=1)
        result[objects.pixels] = objects.spread(objects.centres) - places
    return result.reshape(*labels.shape, 2)


def _heat(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    return centre_heat(cells.labels, recipe.of(PanopticDeepLab).sigma, cells.origin)


def _offsets(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    return centre_offsets(cells.labels, cells.origin)


def _foreground(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    return (cells.labels > 0).view(np.uint8)


FOREGROUND = Values(
    name="centre_foreground",
    compute=_foreground,
    dtype="uint8",
    about="1 in cells, 0 on the background",
    title="foreground",
    rule="pixels of cells",
)

HEAT = Values(
    name="centre_heat",
    compute=_heat,
    dtype="float32",
    about="Gaussian of height 1 at the centre of each cell, 0 beyond three standard deviations; the maximum where "
    "several overlap",
    title="heat of centres",
    rule="heat of centres",
    around=lambda recipe: 3 * recipe.of(PanopticDeepLab).sigma + 1,
    beyond=Beyond.CELLS,
    tolerance=1e-5,
    is_recomputed=True,
)

OFFSETS = Vectors(
    name="centre_offset",
    compute=_offsets,
    dtype="float32",
    channels=2,
    about="offset from each pixel to the centroid of its cell, components (y, x) in pixels; 0 on the background",
    title="offset to the centre",
    rule="offsets to the centre",
    beyond=Beyond.CELLS,
)


@dataclass(frozen=True, slots=True)
class PanopticDeepLab(Family):
    """Gaussians at the centres of cells, and offsets to the centres."""

    name = "panoptic-deeplab"
    title = "Panoptic-DeepLab"
    about = (
        "Foreground, Gaussians at the centres of cells, and the offset of each pixel to the centre of its cell: the "
        "targets of Panoptic-DeepLab."
    )
    credit = (
        "heat and offsets are after Panoptic-DeepLab by Cheng et al., CVPR 2020, "
        "https://github.com/bowenc0221/panoptic-deeplab"
    )
    targets = (FOREGROUND, HEAT, OFFSETS)

    sigma: int = option(SIGMA, "standard deviation of the Gaussians, in pixels", 1, 100)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Group the pixels by the centre that they point to: (H, W) int32, 0 = background."""
        from cellprep.core.decode.centres import centres_to_labels

        foreground = arrays["centre_foreground"] > 0.5
        return centres_to_labels(arrays["centre_heat"], arrays["centre_offset"], foreground)
