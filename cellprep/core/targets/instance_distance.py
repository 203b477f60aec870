"""The Euclidean distance of each pixel to where its instance ends, plain, relative or signed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.distance import distance_of_each
from cellprep.core.targets.objects import Objects
from cellprep.core.targets.transforms import distance_transform

Floats = NDArray[np.float32]


def instance_distance(labels: NDArray[Any], kind: str = "pixels") -> Floats:
    """Return the exact distance of each pixel to the nearest one of another label.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    kind
        A name in `KINDS`.

    Returns
    -------
    ndarray
        (H, W) float32. What lies beyond the image's edge is no other label; one label that fills the image has the
        image's diagonal everywhere.

    Examples
    --------
    >>> for kind in KINDS:
    ...     print(instance_distance(np.array([[0, 0, 6, 6, 6, 6, 8, 8]]), kind)[0], kind)
    [0. 0. 1. 2. 2. 1. 1. 2.] pixels
    [0.  0.  0.5 1.  1.  0.5 0.5 1. ] relative
    [-2. -1.  1.  2.  2.  1.  1.  2.] signed
    """
    return KINDS[kind](labels)


def _in_pixels(labels: NDArray[Any]) -> Floats:
    return distance_of_each(labels, "cv2-exact")


def _relative(labels: NDArray[Any]) -> Floats:
    distance = _in_pixels(labels)
    objects = Objects.of(labels)
    if len(objects):
        own = distance.ravel()[objects.pixels]
        distance.ravel()[objects.pixels] = own / objects.spread(np.maximum.reduceat(own, objects.first))
    return distance


def _signed(labels: NDArray[Any]) -> Floats:
    return _in_pixels(labels) - distance_transform((labels == 0).view(np.uint8), "cv2-exact")


#: What the distance is: in pixels, and 0 in the background; divided by the greatest in its cell; in pixels, and in the
#: background less than 0, by the distance to the nearest cell.
KINDS: dict[str, Callable[[NDArray[Any]], Floats]] = {"pixels": _in_pixels, "relative": _relative, "signed": _signed}
