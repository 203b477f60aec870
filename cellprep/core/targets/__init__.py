"""Training targets of one image, computed from its cells."""

from collections.abc import Collection, Iterable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from cellprep.core.cells import Cells, cells_from_labels
from cellprep.core.label_images import as_label_image
from cellprep.core.targets.affinities import Affinities
from cellprep.core.targets.boundary import Boundaries
from cellprep.core.targets.cellpose import Cellpose
from cellprep.core.targets.dwt import CREDIT, DeepWatershed
from cellprep.core.targets.energy import energy_levels
from cellprep.core.targets.family import FAMILIES, Family, read_families
from cellprep.core.targets.fitting import BIN_METHODS, choose_bins
from cellprep.core.targets.histogram import DistanceHistogram
from cellprep.core.targets.hover import HoVerNet
from cellprep.core.targets.instance_distance import InstanceDistance
from cellprep.core.targets.object_distance import ObjectDistance
from cellprep.core.targets.panoptic_deeplab import PanopticDeepLab
from cellprep.core.targets.recipe import BIN_PRESETS, PUBLISHED_BINS, BinPreset, Recipe, find_bins, read_bins
from cellprep.core.targets.registry import TARGETS, families_of
from cellprep.core.targets.stardist import StarDist
from cellprep.core.targets.target import Beyond, Target
from cellprep.core.targets.transforms import DISTANCES, distance_transform
from cellprep.core.targets.uvec import unit_gradient
from cellprep.system.options import options_of, takes

__all__ = [
    "BIN_METHODS",
    "BIN_PRESETS",
    "CREDIT",
    "DISTANCES",
    "FAMILIES",
    "PUBLISHED_BINS",
    "TARGETS",
    "Beyond",
    "BinPreset",
    "DistanceHistogram",
    "Family",
    "Recipe",
    "Target",
    "choose_bins",
    "compute_targets",
    "distance_transform",
    "energy_levels",
    "find_bins",
    "read_bins",
    "read_families",
    "unit_gradient",
]

# Targets are computed and stored in this order.
FAMILIES.update(
    {
        family.name: family
        for family in (
            DeepWatershed,
            Cellpose,
            StarDist,
            HoVerNet,
            Affinities,
            Boundaries,
            InstanceDistance,
            ObjectDistance,
            PanopticDeepLab,
        )
    }
)


@takes(Recipe)
def compute_targets(labels: Cells | ArrayLike, recipe: Recipe | None = None, **options: Any) -> dict[str, NDArray[Any]]:
    """Compute the targets of one image.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background, as for `cellprep.cells_from_labels`; or cells from
        `cellprep.resolve_overlaps`.
    recipe
        Recipe of the targets; the default recipe by default. The overlap rule of cells has already been applied.
    **options
        Fields of `Recipe` by name, which replace those of `recipe`.

    Returns
    -------
    dict of str to ndarray
        Targets of the recipe by name. The default recipe makes ``semseg`` (H, W, 3) uint8, ``distance`` (H, W) float32,
        ``uvec`` (H, W, 2) float32, ``energy`` (H, W) uint8, ``area`` (H, W) float32.

    Raises
    ------
    UsageError
        If `labels` has the wrong type, or the recipe has no such option.
    RecipeError
        If an option has an invalid value.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((7, 7), int)
    >>> labels[1:6, 1:6] = 1
    >>> compute_targets(labels)["energy"]
    array([[0, 0, 0, 0, 0, 0, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 1, 3, 3, 3, 1, 0],
           [0, 1, 3, 5, 3, 1, 0],
           [0, 1, 3, 3, 3, 1, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 0, 0, 0, 0, 0, 0]], dtype=uint8)
    >>> compute_targets(labels, wall_width=5, bins=(1, 2))["energy"].max()
    np.uint8(2)
    """
    chosen = options_of(Recipe, recipe, options)
    if not isinstance(labels, Cells):
        labels = cells_from_labels(as_label_image(labels, right="(H, W) integers, or Cells"), chosen.overlap)
    return compute_some(labels, {}, chosen, chosen.made)


#: Smallest increase of a distance per pixel along an axis: 0.955 for the chamfer distance, 1 for the others.
LEAST_STEP = 0.95


def distance_targets(names: Iterable[str]) -> list[str]:
    """Return the targets whose values limit how far away the pixels are that they depend on."""
    return [name for name in names if TARGETS[name].beyond is Beyond.DISTANCE]


def sampled_targets(recipe: Recipe | None = None) -> list[str]:
    """Return the names of a recipe's targets that training uses: by default those of this package."""
    return [name for name, target in (recipe or Recipe()).made.items() if target.is_sampled]


def how_to_make(names: Iterable[str], recipe: Recipe) -> str:
    """Return the option of `build-targets` that adds targets to a recipe; empty if the recipe makes them already."""
    more = [name for name in families_of(names) if name not in {family.name for family in recipe.targets}]
    return f"--targets {','.join([*map(str, recipe.targets), *more])}" if more else ""


def with_needs(names: Iterable[str]) -> set[str]:
    """Return the names of targets and of everything that they are computed from."""
    found = set(names)
    for name in reversed(TARGETS):  # each depends only on those before it
        found |= set(TARGETS[name].needs) if name in found else set()
    return found


def pixels_around(name: str, recipe: Recipe) -> int:
    """Return how many pixels around a pixel a target depends on in the cells, apart from its `Target.beyond`."""
    target = TARGETS[name]
    return target.around(recipe) + max((pixels_around(other, recipe) for other in target.needs), default=0)


def reach_of_cells(names: Iterable[str], recipe: Recipe) -> int | None:
    """Return the radius in pixels around a pixel in which whole cells matter to the targets; None if they do not."""
    reaches = [
        pixels_around(name, recipe)
        for name in names
        if any(TARGETS[its].beyond is Beyond.CELLS for its in with_needs([name]))
    ]
    return max(reaches, default=None)


def compute_some(
    cells: Cells, done: dict[str, NDArray[Any]], recipe: Recipe, names: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Compute targets from those in `done`; everything that they need must be in either."""
    for name, target in TARGETS.items():
        if name in names:
            done[name] = target.compute(cells, done, recipe)
    return done
