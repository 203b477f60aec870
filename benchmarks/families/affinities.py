"""Affinities compared with torch-em's `AffinityTransform`, whose loop over pixels is compiled (bioimage-cpp)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.affinities import OFFSETS, affinities

PACKAGE = "torch-em"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"affinities": affinities(labels)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as torch-em makes them: float32, channels first."""
    from torch_em.transform.label import AffinityTransform

    made = AffinityTransform(list(OFFSETS), add_binary_target=True)(labels)
    return {"affinities": np.moveaxis(made, 0, -1)}
