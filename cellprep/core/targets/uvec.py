"""Unit vectors that point away from the nearest border into the cell, as learned by the direction network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE, Cells
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Done, Vectors

_ROUNDING_NOISE = np.float32(1e-4)  # on a ridge it would otherwise become a vector of unit length


def unit_gradient(
    distance: NDArray[np.float32], within: NDArray[np.bool_], instances: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Return the gradient of a distance transform, scaled to unit length.

    Parameters
    ----------
    distance
        (H, W) float32, in pixels.
    within
        (H, W) bool: where vectors are computed; they are 0 elsewhere.
    instances
        (H, W) integers: instance of each pixel's distance, if distances are not of a single mask. Pixels of other
        instances count as 0, as in the distance transform of that instance alone.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x); 0 where the gradient is 0. Differences are one-sided at the
        image's edge, and 0 along an axis of one pixel.

    Examples
    --------
    >>> distance = np.array([[0, 1, 2], [0, 1, 2]], np.float32)
    >>> unit_gradient(distance, distance > 0)[..., 1]
    array([[0., 1., 1.],
           [0., 1., 1.]], dtype=float32)
    """
    vectors = np.empty((*distance.shape, 2), np.float32)
    for top in range(0, len(distance), ROWS_AT_ONCE):
        first, end = max(top - 1, 0), top + ROWS_AT_ONCE
        around = None if instances is None else instances[first : end + 1]
        y = _slope(distance[first : end + 1], around)[top - first :][:ROWS_AT_ONCE]
        x = _slope(distance[top:end].T, None if instances is None else instances[top:end].T).T
        norm = np.sqrt(y * y + x * x)
        norm += norm == 0
        vectors[top:end, :, 0] = _masked_share(y, norm, within[top:end])
        vectors[top:end, :, 1] = _masked_share(x, norm, within[top:end])
    return vectors


def _slope(lines: NDArray[np.float32], instances: NDArray[Any] | None = None) -> NDArray[np.float32]:
    """Return differences along the first axis, as `numpy.gradient` does, without rounding noise."""
    slope = np.zeros_like(lines)
    if len(lines) > 1:
        after, before = lines[1:], lines[:-1]  # all pixels but the first, and all but the last
        if instances is not None:
            same = instances[1:] == instances[:-1]
            after, before = after * same, before * same
        np.subtract(after[1:], before[:-1], out=slope[1:-1])
        slope /= 2
        slope[0] = after[0] - lines[0]
        slope[-1] = lines[-1] - before[-1]
    slope *= np.abs(slope) >= _ROUNDING_NOISE
    return slope


def _masked_share(
    part: NDArray[np.float32], whole: NDArray[np.float32], within: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return ``part / whole`` where needed and 0 elsewhere, in the memory of `part`."""
    part /= whole
    part *= within
    part += 0.0  # turns -0.0 into 0.0
    return part


def uvec(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.float32]:
    """Return the vector target: (H, W, 2) float32, components (y, x), of length 1 or 0.

    It is 0 on the background; walls keep their gradient. With the background as a cell, the vectors of
    ``semseg[..., 0]`` and of the rest are computed separately, and none is set to 0. Per instance, they are
    those of each instance's own distance.
    """
    distance = done["distance"]
    if recipe.per_instance:
        wanted = np.ones_like(cells.ranks, np.bool_) if recipe.background_cell else cells.ranks > 0
        return unit_gradient(distance, wanted, cells.ranks)
    if not recipe.background_cell:
        return unit_gradient(distance, cells.ranks > 0)
    inside = done["semseg"][..., 0] == 1
    of_cells = unit_gradient(distance * inside, inside)
    of_rest = unit_gradient(distance * ~inside, ~inside)
    return of_cells + of_rest


UVEC = Vectors(
    name="uvec",
    compute=uvec,
    dtype="float32",
    channels=2,
    about="unit vector along the gradient of the distance, components (y, x); 0 on the background and where the "
    "gradient is 0",
    title="uvec",
    rule="vectors along the gradient",
    needs=("semseg", "distance"),
    around=lambda _: 1,
    tolerance=1e-4,
)
