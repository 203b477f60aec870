"""Fitting a normalisation to the images that a network learns from."""

from collections.abc import Sequence

import numpy as np

from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.normalisation import Normalisation
from cellprep.learn.windowed import parts
from cellprep.store import Store

_PERCENTILES = (1.0, 99.8)


def fit_normalisation(
    store: Store, ids: Sequence[str], kind: str = "dataset", channels: int | None = None
) -> Normalisation:
    """Fit a normalisation to images of a store, reading one image at a time.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    ids
        The images; all their pixels have the same weight.
    kind
        A name in `NORMALISATIONS`.
    channels
        As in `TrainingSet`.

    Raises
    ------
    UsageError
        If the kind is unknown, or the images cannot be used for training together, as in `TrainingSet`.
    StoreError
        If an image is damaged.
    """
    return fit_to(TrainingSet(store, ids, channels, targets=()), kind)


def fit_to(images: TrainingSet, kind: str) -> Normalisation:
    """Fit a normalisation to the images of a set; errors are those of `fit_normalisation`."""
    if kind != "dataset":
        low, high = _PERCENTILES
        return Normalisation(kind, (low,) * images.channels, (high,) * images.channels)
    pixels = 0
    mean, squares = np.zeros(images.channels), np.zeros(images.channels)
    for index in range(len(images)):
        for part in parts(images.read(index, ["image"])["image"]):
            image = part.astype(np.float64)
            size, here = image[0].size, image.mean(axis=(1, 2))
            # Sums of squares of large values would cancel: those about the means are added (Chan, Golub, LeVeque 1979).
            squares += image.var(axis=(1, 2)) * size + (here - mean) ** 2 * pixels * size / (pixels + size)
            mean += (here - mean) * size / (pixels + size)
            pixels += size
    return Normalisation(kind, tuple(mean), tuple(mean + np.sqrt(squares / pixels)))
