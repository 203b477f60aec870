"""Distances within each object compared with torch-em's `PerObjectDistanceTransform`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.object_distance import object_distances

PACKAGE = "torch-em"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"object_distance": object_distances(labels, directed=True)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as torch-em makes them: channels first."""
    from torch_em.transform.label import PerObjectDistanceTransform

    made = PerObjectDistanceTransform(directed_distances=True)(labels)
    return {"object_distance": np.moveaxis(made, 0, -1)}
