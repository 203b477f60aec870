"""Stores drawn by hand, for tests of training."""

import numpy as np

from cellprep import Recipe, cells_from_labels, compute_targets, open_store
from cellprep.store import ImageContent, StoreWriter, write_image


def write_store(path, images, recipe=None):
    """Write images by id, each (labels, image or None) or (labels, image, changes of its arrays and attributes)."""
    with StoreWriter(path) as writer:
        for image_id, (labels, image, *changes) in images.items():
            write_image(writer.workspace / image_id, _content(labels, image, recipe or Recipe(), *changes))
            writer.commit(image_id)
        writer.set_attributes({"recipe": (recipe or Recipe()).to_dict()})
    return open_store(path)


def _content(labels, image, recipe, changes=None):
    cells = cells_from_labels(labels, recipe.overlap)
    table = np.stack([np.arange(len(cells.areas)), cells.areas, np.full(len(cells.areas), -1)], axis=1)
    targets = compute_targets(cells, recipe)
    arrays = {"labels": cells.labels, "cells": table, **{name: targets[name] for name in recipe.stored}}
    if image is not None:
        arrays = {"image": image, **arrays}
    attributes = {
        "recipe": "drawn by hand",
        "options": recipe.to_dict(),
        **({"computed": recipe.computed} if recipe.computed else {}),
        "pixel_size": None,
        "shape": list(labels.shape),
        "cells": len(table),
        "hidden": cells.hidden().tolist(),
        "excluded": [],
        "cell_type": None,
        "categories": [],
        "cells_of_category": [],
    }
    changes = changes or {}
    return ImageContent(
        arrays=arrays | changes.get("arrays", {}),
        attributes=attributes | changes.get("attributes", {}),
        pixel_size=None,
    )


def discs(shape, count, seed=0, most=12):
    """Draw labels of discs that touch and cover each other."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int64)
    y, x = np.indices(shape)
    for label in range(1, count + 1):
        centre, radius = rng.uniform(0, shape, 2), rng.uniform(2, most)
        labels[np.hypot(y - centre[0], x - centre[1]) < radius] = label
    return labels


def noise(shape, seed=0, dtype=np.uint8):
    """Draw an image of random intensities."""
    values = np.random.default_rng(seed).integers(0, 200, shape)
    return values.astype(dtype)
