"""The appearance of the training cells, so that images of other cells are noticed at prediction."""

from collections.abc import Sequence

import numpy as np

from cellprep.learn.appearance import AppearanceRange, diameters_of, measure_appearance, sample_pixels
from cellprep.learn.data.training_set import TrainingSet
from cellprep.store import Store

_MOST_IMAGES = 500  # more would change the ranges little


def describe_cells(store: Store, ids: Sequence[str]) -> AppearanceRange | None:
    """Measure the appearance of cells in images of a store, at 20 milliseconds an image.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    ids
        The images; at most 500 of them, evenly spread, are measured.

    Returns
    -------
    AppearanceRange or None
        None if no image has both cells and background. There are no diameters if no image has several cells: the
        masks are then semantic, so that areas are not those of cells.

    Raises
    ------
    UsageError
        If the images cannot be used for training together, as in `TrainingSet`.
    StoreError
        If an image is damaged.
    """
    images = TrainingSet(store, ids[:: -(-len(ids) // _MOST_IMAGES)] if ids else ids)
    found, areas = [], []
    for index in range(len(images)):
        arrays = images.read(index, ["image", "labels", "cells"])
        here = arrays["cells"][:, 1]
        areas.append(here[here > 0])  # an annotation without pixels is not a small cell
        found.append(measure_appearance(sample_pixels(arrays["image"]), arrays["labels"], here))
    are_cells = any(image.cells > 1 for image in found)
    return AppearanceRange.of(found, diameters_of(np.concatenate(areas)) if are_cells else None)
