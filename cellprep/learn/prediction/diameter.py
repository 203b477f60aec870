"""The size of an image's cells, estimated by a first prediction."""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.learn.appearance import diameters_of
from cellprep.learn.prediction.maps import PredictedMaps, count_pixels, find_instances
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.scaling import LEAST_CELLS, Scale

_ALIKE = 1.3  # factor up to which networks find cells of other sizes equally well


class FirstLook(NamedTuple):
    """The result of a first prediction of an image.

    Attributes
    ----------
    scale
        The scale at which networks should see it; None for its own scale.
    maps
        The predicted maps, if they were made at that scale.
    diameter
        The median diameter of the cells found, in pixels of the image; None if too few were found.
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
    """Predict an image once, to find the scale at which its cells are as large as the training cells.

    Parameters
    ----------
    predictor
        The networks.
    image
        (C, H, W).
    classes
        Classes of the image's pixels, as in `Predictor.predict`.
    scale
        The scale of this prediction.
    types
        Types of the cells' pixels, as in `Predictor.predict`.
    **keep
        The maps to keep, as in `Predictor.predict`.
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
