"""Distances within each object, to its centre and to its boundary, as learned by torch-em's distance networks.

The rule is that of torch-em's `PerObjectDistanceTransform`, also used by micro-SAM's decoder. Distances begin at the
*inner boundary*, which lies in the object and is at distance 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.boundary import inner
from cellprep.core.targets.distance import distance_of_each
from cellprep.core.targets.family import Family
from cellprep.core.targets.objects import Objects
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values
from cellprep.core.tuning import option

Floats = NDArray[np.float32]

_EPSILON = 1e-7  # from torch-em; avoids division by 0
_OUTSIDE = 1.0


def object_distances(
    labels: NDArray[Any],
    origin: tuple[int, int] = (0, 0),
    *,
    directed: bool = False,
    pieces: bool = True,
    smallest: int = 0,
) -> Floats:
    """Return the distances of each pixel to the centre and the boundary of its object, relative to the largest one.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    origin
        Row and column in the image of the first pixel of `labels`, if these are a part of it: means halfway between two
        pixels are rounded to even numbers.
    directed
        Whether to include the offsets to the centre: torch-em's ``directed_distances``.
    pieces
        Whether each 8-connected component of a cell is an object: torch-em's ``apply_label``.
    smallest
        Smallest size of an object in pixels; smaller ones become background: torch-em's ``min_size``.

    Returns
    -------
    ndarray
        (H, W, channels) float32: foreground, 0 or 1; distance to the centre, from 0 to 1; if `directed`, offsets (y, x)
        to the centre, from -1 to 1; distance to the boundary, from 0 where it is largest to 1 on the boundary. All but
        the foreground are 1 outside. The centre is the pixel nearest to the mean of the object's pixels; if that is
        outside the object, it is the pixel farthest from the boundary, the first in raster order.

    Examples
    --------
    >>> object_distances(np.array([[0, 3, 3, 3, 3, 3, 0]]), directed=True)[0].T.round(2) + 0
    array([[ 0. ,  1. ,  1. ,  1. ,  1. ,  1. ,  0. ],
           [ 1. ,  1. ,  0.5,  0. ,  0.5,  1. ,  1. ],
           [ 1. ,  0. ,  0. ,  0. ,  0. ,  0. ,  1. ],
           [ 1. ,  1. ,  0.5,  0. , -0.5, -1. ,  1. ],
           [ 1. ,  1. ,  0.5,  0. ,  0.5,  1. ,  1. ]], dtype=float32)
    """
    objects = Objects.of(labels, origin, pieces=pieces, smallest=smallest)
    result = np.full((labels.size, 5 if directed else 3), _OUTSIDE, np.float32)
    result[:, 0] = 0
    if len(objects):
        deep = _from_boundary(labels).ravel()[objects.pixels]
        deepest = np.maximum.reduceat(deep, objects.first)
        centres = _centres(objects, deep, deepest).astype(np.float32)
        y = objects.spread(centres[:, 0]) - objects.rows.astype(np.float32)
        x = objects.spread(centres[:, 1]) - objects.columns.astype(np.float32)
        steps = (y, x) if directed else ()
        result[objects.pixels, 0] = 1
        for channel, values in enumerate((np.sqrt(y * y + x * x), *steps, objects.spread(deepest) - deep), start=1):
            result[:, channel][objects.pixels] = _relative(values, objects)
    return result.reshape(*labels.shape, -1)


def _from_boundary(labels: NDArray[Any]) -> Floats:
    """Return the distance of each pixel to the inner boundary of its cell, in pixels: (H, W).

    The boundary of a neighbour is never nearer: on the way there, the first pixel not inside a cell is on the cell's
    own boundary. One cell that fills the image has none: as in SciPy, the pixel above the first one is used instead.
    """
    interior = (labels > 0) & ~inner(labels)
    if interior.all():
        y, x = np.ogrid[1 : len(labels) + 1, : labels.shape[1]]
        from_above: Floats = np.sqrt((y * y + x * x).astype(np.float32))
        return from_above
    return distance_of_each(labels * interior, "cv2-exact")


def _centres(objects: Objects, deep: Floats, deepest: Floats) -> NDArray[np.int64]:
    """Return the centre (y, x) of each object: (n, 2)."""
    centres = np.rint(objects.centres).astype(np.int64)
    within = np.logical_or.reduceat(objects.pixels == objects.spread(objects.places(centres)), objects.first)
    for number in np.flatnonzero(~within):
        own = slice(objects.first[number], objects.first[number] + objects.sizes[number])
        rows, columns = objects.rows[own], objects.columns[own]
        place = deep[own].argmax()
        # For an object that is all boundary, torch-em takes the corner of its bounding box, which may be outside of it.
        centres[number] = (rows[place], columns[place]) if deepest[number] else (rows[0], columns.min())
    return centres


def _relative(values: Floats, objects: Objects) -> Floats:
    """Divide values of pixels by the value farthest from 0 in their object."""
    farthest = np.maximum.reduceat(np.abs(values), objects.first)
    relative: Floats = values / objects.spread(farthest + np.float32(_EPSILON))
    return relative


def _distances(cells: Cells, done: Done, recipe: Recipe) -> Floats:
    its = recipe.of(ObjectDistance)
    return object_distances(cells.labels, cells.origin, directed=its.directed, pieces=its.pieces, smallest=its.smallest)


def _channels(recipe: Recipe) -> tuple[str, ...]:
    steps = ("y", "x") if recipe.of(ObjectDistance).directed else ()
    return ("foreground", "centre", *steps, "boundary")


OBJECT_DISTANCE = Values(
    name="object_distance",
    compute=_distances,
    dtype="float32",
    channels=_channels,
    about="channels: foreground, 0 or 1; distance to the centre of the object, relative to its maximum; with "
    "`directed`, steps y and x to the centre, from -1 to 1; closeness to the boundary, from 1 on the boundary of "
    "the object to 0 at the pixel farthest from it. All channels except the foreground are 1 outside",
    title="distance in objects",
    rule="distances in objects",
    around=lambda _: 1,
    beyond=Beyond.CELLS,
    tolerance=1e-3,
    is_recomputed=True,
)


@dataclass(frozen=True, slots=True)
class ObjectDistance(Family):
    """Relative distances to the centre and the boundary of each object."""

    name = "object-distance"
    title = "Object distances"
    about = (
        "Foreground, and the distance of each pixel to the centre and to the boundary of its object, relative to the "
        "maximum: the targets of the decoders of torch-em and micro-SAM."
    )
    credit = "distances are after torch-em's PerObjectDistanceTransform by Pape et al., https://github.com/constantinpape/torch-em"
    targets = (OBJECT_DISTANCE,)

    directed: bool = option(False, "whether to add channels with the steps to the centre")
    pieces: bool = option(True, "whether each component of a cell is a separate object")
    smallest: int = option(0, "minimum size of an object, in pixels; smaller ones are background", 0)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return cells grown from where both distances are short: (H, W) int32, 0 = background."""
        from cellprep.core.decode.centres import object_distances_to_labels

        foreground, centre, *_, boundary = np.moveaxis(arrays["object_distance"], -1, 0)
        return object_distances_to_labels(centre, boundary, foreground > 0.5)
