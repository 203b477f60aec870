"""Distance transforms of a mask: the methods, and their common result for a mask without background."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import RecipeError

Mask = NDArray[np.uint8]
Distance = NDArray[np.float32]


@contextmanager
def _the_same_everywhere() -> Iterator[None]:
    """Disable Intel's library in OpenCV, in this thread, as its last bits depend on more than the mask.

    It sums chamfer steps in float32, in an order that depends on the image's width, and computes square roots to 21
    bits that depend on the array's position in memory. It is not used on processors of other makers.
    """
    import cv2

    uses_ipp = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(uses_ipp)


def _cv2_chamfer(mask: Mask) -> Distance:
    import cv2

    with _the_same_everywhere():  # integer multiples of 1/65536 pixel
        return cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_3).astype(np.float32, copy=False)


def _cv2_exact(mask: Mask) -> Distance:
    import cv2

    with _the_same_everywhere():
        return cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float32, copy=False)


def _scipy(mask: Mask) -> Distance:
    from scipy.ndimage import distance_transform_edt

    result: Distance = distance_transform_edt(mask).astype(np.float32)
    return result


def _skimage(mask: Mask) -> Distance:
    from skimage.morphology import medial_axis

    result: Distance = medial_axis(mask, return_distance=True)[1].astype(np.float32)
    return result


#: The methods by name: OpenCV's 3x3 chamfer distance, whose values the bins sartorius consist of; OpenCV's precise one;
#: SciPy's exact one; the one from scikit-image's medial axis.
DISTANCES: dict[str, Callable[[Mask], Distance]] = {
    "cv2": _cv2_chamfer,
    "cv2-exact": _cv2_exact,
    "scipy": _scipy,
    "skimage": _skimage,
}


def find_distance(name: str) -> Callable[[Mask], Distance]:
    """Return the distance method of a name."""
    if not isinstance(name, str) or name not in DISTANCES:
        raise RecipeError(f"distance {name!r} is unknown: use one of {', '.join(DISTANCES)}")
    return DISTANCES[name]


def distance_transform(mask: Mask, method: str = "cv2") -> Distance:
    """Return each pixel's distance to the nearest pixel outside the mask.

    Parameters
    ----------
    mask
        (H, W) uint8: 1 inside, 0 outside.
    method
        A name in `DISTANCES`.

    Returns
    -------
    ndarray
        (H, W) float32, in pixels: 0 outside. Pixels beyond the image's edge count as inside. If the mask fills the
        image, all pixels get the length of the image's diagonal.

    Examples
    --------
    >>> distance_transform(np.array([[0, 1, 1, 1]], np.uint8), "scipy")
    array([[0., 1., 2., 3.]], dtype=float32)
    """
    transform = find_distance(method)
    if mask.all():
        return np.full(mask.shape, np.hypot(*mask.shape), np.float32)
    return transform(np.ascontiguousarray(mask))
