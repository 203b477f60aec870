"""Boundaries of cells, as one of three classes.

Inner, outer and thick boundaries are those of scikit-image's `find_boundaries`; ``border-core`` is the rule of nnU-Net
for instances (acvl_utils' `convert_instanceseg_to_semantic`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.family import Family
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Done, Values
from cellprep.core.tuning import option

Mask = NDArray[np.bool_]

BACKGROUND, INSIDE, BOUNDARY = range(3)
_STRAIGHT, _DIAGONAL = ((0, 1), (1, 0)), ((1, -1), (1, 1))


def boundary_classes(labels: NDArray[Any], mode: str = "inner", thickness: int = 2) -> NDArray[np.uint8]:
    """Return the class of each pixel: 0 background, 1 inside of a cell, 2 boundary.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    mode
        A name in `BOUNDARIES`.
    thickness
        Width of the boundary in pixels, for ``border-core`` only.

    Returns
    -------
    ndarray
        (H, W) uint8. The image's edge is not a boundary.

    Examples
    --------
    >>> for mode in BOUNDARIES:
    ...     print(boundary_classes(np.array([[0, 0, 5, 5, 5, 7, 7, 7]]), mode)[0], mode)
    [0 0 2 1 2 2 1 1] inner
    [0 2 1 1 2 2 1 1] outer
    [0 2 2 1 2 2 1 1] thick
    [0 0 2 2 2 2 2 1] border-core
    """
    classes = (labels > 0).view(np.uint8)
    classes[BOUNDARIES[mode](labels, thickness)] = BOUNDARY
    return classes


def _thick(labels: NDArray[Any], thickness: int = 1) -> Mask:
    """Return the pixels with a straight neighbour of another label."""
    return _either(labels, _STRAIGHT, np.not_equal)


def inner(labels: NDArray[Any], thickness: int = 1) -> Mask:
    """Return the pixels of cells with a straight neighbour of another label: (H, W) bool."""
    return _thick(labels) & (labels > 0)


def _outer(labels: NDArray[Any], thickness: int = 1) -> Mask:
    """Return the thick boundary in the background, and pixels of cells with another cell among eight neighbours."""
    of_another = _either(labels, _STRAIGHT + _DIAGONAL, lambda one, other: (one != other) & (one > 0) & (other > 0))
    outer: Mask = _thick(labels) & ((labels == 0) | of_another)
    return outer


def _border(labels: NDArray[Any], thickness: int) -> Mask:
    """Return the pixels of cells with another label in a disc around them.

    If the smallest and the largest label in the disc are equal, erosion of the cell alone would keep the pixel.
    """
    import cv2

    y, x = np.ogrid[-thickness : thickness + 1, -thickness : thickness + 1]
    disc = (y * y + x * x <= thickness * thickness).astype(np.uint8)
    # A type that OpenCV supports.
    exact = labels if labels.dtype in (np.uint8, np.uint16) else labels.astype(np.float64)
    border: Mask = (cv2.erode(exact, disc) != cv2.dilate(exact, disc)) & (labels > 0)
    return border


#: The rules by name: rim of each cell; one pixel around each cell, and both sides where two touch; both of these; a
#: wider rim, as in nnU-Net.
BOUNDARIES: dict[str, Callable[[NDArray[Any], int], Mask]] = {
    "inner": inner,
    "outer": _outer,
    "thick": _thick,
    "border-core": _border,
}


def _either(
    labels: NDArray[Any], steps: Iterable[tuple[int, int]], part: Callable[[NDArray[Any], NDArray[Any]], Mask]
) -> Mask:
    """Return the pixels that differ from a neighbour at an offset (y, x) or at the opposite one."""
    found = np.zeros(labels.shape, np.bool_)
    width = labels.shape[1]
    for dy, dx in steps:
        here = slice(0, len(labels) - dy), slice(max(0, -dx), width - max(0, dx))
        there = slice(dy, None), slice(max(0, dx), width + min(0, dx))
        parted = part(labels[here], labels[there])
        found[here] |= parted
        found[there] |= parted
    return found


def _classes(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    its = recipe.of(Boundaries)
    return boundary_classes(cells.labels, its.mode, its.thickness)


BOUNDARY_CLASSES = Values(
    name="boundary",
    compute=_classes,
    dtype="uint8",
    about="0 background, 1 interior of a cell, 2 boundary",
    title="boundary: background, inside, boundary",
    rule="boundaries",
    around=lambda recipe: max(1, recipe.of(Boundaries).thickness),
)


@dataclass(frozen=True, slots=True)
class Boundaries(Family):
    """Background, inside and boundary."""

    name = "boundary"
    title = "Boundaries"
    about = (
        "Background, interior and boundary of cells as three classes: the targets of U-Nets, torch-em's boundary "
        "networks and nnU-Net."
    )
    credit = (
        "boundaries are after scikit-image's find_boundaries; border-core is after acvl_utils by Isensee et al., "
        "https://github.com/MIC-DKFZ/acvl_utils"
    )
    targets = (BOUNDARY_CLASSES,)

    mode: str = option("inner", "definition of boundary pixels", choices=tuple(BOUNDARIES))
    thickness: int = option(2, "width of the boundary for border-core, in pixels", 1, 20)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the insides, grown into their boundaries: (H, W) int32, 0 = background."""
        from cellprep.core.decode.boundaries import boundary_to_labels

        return boundary_to_labels(arrays["boundary"], self.mode)
