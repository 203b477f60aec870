"""Describing how the cells look that a network learns from, so that images of other cells are noticed."""

from collections.abc import Sequence

import numpy as np

from cellprep.learn.appearance import AppearanceRange, diameters_of, measure_appearance, sample_pixels
from cellprep.learn.data.training_set import TrainingSet
from cellprep.store import Store

_MOST_IMAGES = 500  # more would change the ranges little


def describe_cells(store: Store, ids: Sequence[str]) -> AppearanceRange | None:
    """Measure how the cells look in images of a store, in 20 milliseconds an image.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    ids
        The images; of more than 500 some, evenly spread.

    Returns
    -------
    AppearanceRange or None
        None if no image has both cells and background. Without diameters if no image has several cells: the masks
        are then semantic, and their areas not those of cells.

    Raises
    ------
    UsageError
        If the images cannot be learned from together, as `TrainingSet` has it.
    StoreError
        If an image is damaged.
    """
    images = TrainingSet(store, ids[:: -(-len(ids) // _MOST_IMAGES)] if ids else ids)
    found, areas = [], []
    for index in range(len(images)):
        arrays = images.read(index, ["image", "labels", "cells"])
        here = arrays["cells"][:, 1]
        areas.append(here[here > 0])  # an annotation without a pixel is no small cell
        found.append(measure_appearance(sample_pixels(arrays["image"]), arrays["labels"], here))
    are_cells = any(image.cells > 1 for image in found)
    return AppearanceRange.of(found, diameters_of(np.concatenate(areas)) if are_cells else None)
