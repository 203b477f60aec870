"""StarDist's rays and probability compared with the package stardist."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.stardist import star_distances, star_probability

PACKAGE = "stardist"
RAYS = 32


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"stardist_rays": star_distances(labels, RAYS), "stardist_probability": star_probability(labels)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as stardist makes them for its own training; its rays are compiled."""
    from stardist.geometry import star_dist
    from stardist.utils import edt_prob

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that distances in an image of one cell are no more than assumed
        return {
            "stardist_rays": star_dist(labels.astype(np.uint16), RAYS),
            "stardist_probability": edt_prob(labels.astype(np.int32)),
        }
