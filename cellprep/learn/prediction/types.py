"""The class of each instance: that of the highest mean probability over its pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.learn.prediction.maps import count_pixels, sums_of_labels


def type_instances(
    probabilities: NDArray[np.uint8], labels: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the class of each instance, and its probability.

    Parameters
    ----------
    probabilities
        (K, H, W) uint8, 255 for a probability of 1.
    labels
        (H, W), 0 = background, then 1 to n, each with a pixel.

    Returns
    -------
    classes
        (n,) the number of the class whose mean probability over the instance's pixels is highest; the first of equals.
    scores
        (n,) that mean, from 0 to 1.

    Examples
    --------
    >>> first = np.array([[255, 204, 51]], np.uint8)
    >>> type_instances(np.stack([first, 255 - first]), np.array([[1, 1, 2]]))
    (array([0, 1]), array([0.9, 0.8]))
    """
    # Sums of whole numbers are exact, so that equals are equal whatever the order of the pixels.
    totals = np.stack([sums_of_labels(one, labels)[1:] for one in probabilities])
    classes = totals.argmax(axis=0)
    highest = np.take_along_axis(totals, classes[np.newaxis], 0)[0]
    return classes, highest / count_pixels(labels)[1:] / 255
