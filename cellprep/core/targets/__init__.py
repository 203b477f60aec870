"""Training targets of one image, from its cells: pure functions of arrays."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.area import area
from cellprep.core.targets.distance import distance
from cellprep.core.targets.energy import energy, energy_levels
from cellprep.core.targets.fitting import BIN_METHODS, choose_bins
from cellprep.core.targets.histogram import DistanceHistogram
from cellprep.core.targets.recipe import BIN_PRESETS, CREDIT, PUBLISHED_BINS, BinPreset, Recipe, find_bins, read_bins
from cellprep.core.targets.semseg import semseg
from cellprep.core.targets.transforms import DISTANCES, distance_transform
from cellprep.core.targets.uvec import unit_gradient, uvec

__all__ = [
    "BIN_METHODS",
    "BIN_PRESETS",
    "CREDIT",
    "DISTANCES",
    "PUBLISHED_BINS",
    "TARGETS",
    "BinPreset",
    "DistanceHistogram",
    "Recipe",
    "choose_bins",
    "compute_targets",
    "distance_transform",
    "energy_levels",
    "find_bins",
    "read_bins",
    "unit_gradient",
]

Target = Callable[[Cells, Mapping[str, NDArray[Any]], Recipe], NDArray[Any]]

#: The targets by name, in the order in which they are computed: each may use those before it.
TARGETS: dict[str, Target] = {
    "semseg": semseg,
    "distance": distance,
    "uvec": uvec,
    "energy": energy,
    "area": area,
}


def compute_targets(cells: Cells, recipe: Recipe | None = None) -> dict[str, NDArray[Any]]:
    """Compute all targets of one image.

    Parameters
    ----------
    cells
        From `cellprep.resolve_overlaps` or `cellprep.cells_from_labels`.
    recipe
        How; the default recipe unless given. Its overlap rule is taken as already applied.

    Returns
    -------
    dict of str to ndarray
        Per name in `TARGETS`: ``semseg`` (H, W, 3) uint8, ``distance`` (H, W) float32, ``uvec`` (H, W, 2)
        float32, ``energy`` (H, W) uint8, ``area`` (H, W) float32.

    Examples
    --------
    >>> import numpy as np
    >>> from cellprep import cells_from_labels
    >>> labels = np.zeros((7, 7), int)
    >>> labels[1:6, 1:6] = 1
    >>> compute_targets(cells_from_labels(labels))["energy"]
    array([[0, 0, 0, 0, 0, 0, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 1, 3, 3, 3, 1, 0],
           [0, 1, 3, 5, 3, 1, 0],
           [0, 1, 3, 3, 3, 1, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 0, 0, 0, 0, 0, 0]], dtype=uint8)
    """
    recipe = recipe or Recipe()
    done: dict[str, NDArray[Any]] = {}
    for name, target in TARGETS.items():
        done[name] = target(cells, done, recipe)
    return done
