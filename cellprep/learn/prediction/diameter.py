"""The size of an image's cells, estimated by a first look at it."""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.learn.appearance import diameters_of
from cellprep.learn.prediction.maps import PredictedMaps, count_pixels, find_instances
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.scaling import LEAST_CELLS, Scale

_ALIKE = 1.3  # networks that learned from cells of many sizes find those as well


class FirstLook(NamedTuple):
    """What a first look at an image tells.

    Attributes
    ----------
    scale
        The scale at which networks should see it; None if that is its own.
    maps
        What they saw, if it was at that scale.
    diameter
        The median diameter of what they found, in pixels of the image; None if they found too little.
    """

    scale: Scale | None
    maps: PredictedMaps | None
    diameter: float | None


def look_first(
    predictor: Predictor,
    image: Any,
    classes: NDArray[np.uint8] | None,
    scale: Scale | None,
    types: NDArray[np.uint8] | None = None,
    **keep: bool,
) -> FirstLook:
    """Look at an image once, and return the scale at which its cells are as large as those of the weights.

    Parameters
    ----------
    predictor
        The networks.
    image
        (C, H, W).
    classes
        As `Predictor.predict` takes them, of the image.
    scale
        The scale of the first look.
    types
        As `Predictor.predict` takes them, of the image.
    **keep
        What is kept of the maps, as `Predictor.predict` takes it.
    """
    maps = predictor.look(image, classes, scale, types, **keep)
    areas = count_pixels(find_instances(maps, predictor.decoding_at(scale))[0])[1:]
    learned = predictor.bundle.diameter
    if len(areas) < LEAST_CELLS or learned is None:
        return FirstLook(scale, maps, None)
    seen = float(np.median(diameters_of(areas)))
    y, x = scale.factors if scale else (1.0, 1.0)
    diameter = seen / sqrt(y * x)
    if max(seen, learned) <= _ALIKE * min(seen, learned):
        return FirstLook(scale, maps, diameter)
    height, width = image.shape[-2:]
    by_cells = Scale.of((height, width), (y * learned, x * learned), seen, predictor.bundle.shrink)
    return FirstLook(by_cells, None, diameter)
