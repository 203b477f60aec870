"""The exact distance of each pixel to the border of its instance: in pixels, signed, or relative to the maximum.

The distance in pixels equals that of the package edt, the signed one that of its `sdf`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.distance import distance_of_each
from cellprep.core.targets.family import Family
from cellprep.core.targets.objects import Objects
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values
from cellprep.core.targets.transforms import distance_transform
from cellprep.core.tuning import option

Floats = NDArray[np.float32]


def instance_distance(labels: NDArray[Any], *, signed: bool = False) -> Floats:
    """Return the distance of each pixel to the nearest pixel of another label.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    signed
        Whether background pixels get their negative distance to the nearest cell.

    Returns
    -------
    ndarray
        (H, W) float32, in pixels; 0 in the background unless signed. The image's edge is not a border. If one label
        fills the image, all pixels get the length of the image's diagonal.

    Examples
    --------
    >>> instance_distance(np.array([[0, 0, 6, 6, 6, 6, 8, 8]]), signed=True)
    array([[-2., -1.,  1.,  2.,  2.,  1.,  1.,  2.]], dtype=float32)
    """
    distance = distance_of_each(labels, "cv2-exact")
    if signed:
        distance -= distance_transform((labels == 0).view(np.uint8), "cv2-exact")
    return distance


def relative_distance(labels: NDArray[Any], distance: Floats) -> Floats:
    """Divide the distance of each pixel by the largest one in its cell.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    distance
        (H, W): result of `instance_distance`, signed or not.

    Returns
    -------
    ndarray
        (H, W) float32, from 0 to 1; 0 in the background.

    Examples
    --------
    >>> labels = np.array([[0, 6, 6, 6, 6, 8, 8]])
    >>> relative_distance(labels, instance_distance(labels))
    array([[0. , 0.5, 1. , 1. , 0.5, 0.5, 1. ]], dtype=float32)
    """
    result = np.zeros(labels.size, np.float32)
    objects = Objects.of(labels)
    if len(objects):
        own = distance.ravel()[objects.pixels]
        result[objects.pixels] = own / objects.spread(np.maximum.reduceat(own, objects.first))
    return result.reshape(labels.shape)


def _distance(cells: Cells, done: Done, recipe: Recipe) -> Floats:
    return instance_distance(cells.labels, signed=recipe.of(InstanceDistance).signed)


def _relative(cells: Cells, done: Done, recipe: Recipe) -> Floats:
    return relative_distance(cells.labels, done["instance_distance"])


DISTANCE = Values(
    name="instance_distance",
    compute=_distance,
    dtype="float32",
    about="distance to the nearest pixel outside the cell, in pixels; 0 on the background or, with `signed`, the "
    "negative distance to the nearest cell",
    title="distance in cells, in pixels",
    rule="distances of instances",
    beyond=Beyond.DISTANCE,
    tolerance=1e-3,
)

RELATIVE = Values(
    name="relative_distance",
    compute=_relative,
    dtype="float32",
    about="`instance_distance` divided by the maximum in the cell; 0 on the background",
    title="relative distance in cells",
    rule="relative distances of instances",
    needs=("instance_distance",),
    beyond=Beyond.CELLS,
    tolerance=1e-3,
    is_stored=False,
)


@dataclass(frozen=True, slots=True)
class InstanceDistance(Family):
    """The exact distance to the border of each instance."""

    name = "instance-distance"
    title = "Instance distances"
    about = (
        "The distance of each pixel to the border of its cell, in pixels and relative to the deepest pixel: the "
        "targets of networks that are followed by a watershed from the deepest pixels."
    )
    credit = (
        "distances are defined as in edt by Silversmith, https://github.com/seung-lab/euclidean-distance-transform-3d"
    )
    targets = (DISTANCE, RELATIVE)

    signed: bool = option(False, "whether the background holds the negative distance to the nearest cell")

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the basins around the maxima of the distance: (H, W) int32, 0 = background."""
        from cellprep.core.decode.tops import Tops

        distance = arrays["instance_distance"]
        return Tops(smoothing=0, ratio=0.4).part(distance, distance > 0)
