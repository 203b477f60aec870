"""Inner, outer and thick boundaries compared with scikit-image's `find_boundaries`."""

from typing import Any

from numpy.typing import NDArray

from cellprep.core.targets.boundary import BOUNDARY, boundary_classes

PACKAGE = "scikit-image"
MODES = ("inner", "outer", "thick")


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the boundary of a label image by each rule."""
    return {mode: boundary_classes(labels, mode) == BOUNDARY for mode in MODES}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as scikit-image makes them."""
    from skimage.segmentation import find_boundaries

    return {mode: find_boundaries(labels, mode=mode) for mode in MODES}
