"""Predicting the instances of one image, without files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError
from cellprep.learn.prediction.bundle import Bundle, load_bundle
from cellprep.learn.prediction.maps import find_instances
from cellprep.learn.prediction.masks import classes_of_mask
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, PredictionOptions
from cellprep.learn.prediction.predictor import Predictor


def segment(
    image: ArrayLike,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    mask: ArrayLike | None = None,
    options: PredictionOptions | None = None,
) -> NDArray[Any]:
    """Predict the instances of an image.

    Parameters
    ----------
    image
        (H, W), or (C, H, W) for several channels, of any real dtype.
    weights
        From `load_bundle`, or the file or files that it takes; those for fluorescent nuclei that come with the package
        unless given. Who has many images loads once.
    mask
        (H, W), above 0 where there are cells; the semantic network tells unless given.
    options
        How it is predicted.

    Returns
    -------
    ndarray
        Instances of fewer pixels than the options or the weights say, 20 unless they do, are left out.
        (H, W) uint16, or uint32 beyond 65,535 instances: 0 = background, then 1, 2, ... in the order in which rows
        read from the top first meet them.

    Raises
    ------
    WeightsError
        If a file of weights cannot be read.
    UsageError
        If image, mask and weights do not fit each other, there is neither a mask nor a semantic network, or the weights
        are of a ``dn`` alone, which tells vectors and no instances.

    Examples
    --------
    >>> from cellprep.learn import Bundle, NetworkSettings, Normalisation, Weights, build_network
    >>> network = build_network(NetworkSettings("wn", base_channels=1), seed=0)
    >>> weights = Bundle(Weights(network, Normalisation("dataset", low=(100,), high=(150,))))
    >>> image = np.zeros((20, 30), np.uint8)
    >>> segment(image, weights, mask=image).max()
    np.uint16(0)
    """
    pixels = np.asarray(image)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if not isinstance(weights, Bundle):
        weights = load_bundle(weights)
    if not weights.tells_instances:
        raise UsageError(
            "a dn alone tells vectors, no instances: give the weights of a wtn beside it; `predict` writes the vectors"
        )
    if mask is None and weights.semseg is None:
        raise UsageError("nothing tells where cells are: give a mask, or weights of a semseg beside the others")
    predictor = Predictor(weights, options or PredictionOptions(quiet=True))
    maps = predictor.predict(pixels, None if mask is None else classes_of_mask(mask))
    return find_instances(maps, predictor.decoding)[0]
