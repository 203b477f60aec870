"""Checks that images contain cells, and instances: vectors and energy cannot be made from semantic masks."""

from collections.abc import Iterable

import numpy as np
from skimage.measure import label

from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NETWORKS
from cellprep.store import Store

_LOOKED_AT = 20  # images; the smallest are as informative as all


def refuse_no_cells(store: Store, image_ids: Iterable[str], network: str, purpose: str) -> None:
    """Refuse images without any cell: the loss of every network that only sees cells would be 0.

    Raises
    ------
    UsageError
        If none of them contains a cell.
    """
    if not any(store[image_id].metadata.cells for image_id in image_ids):
        raise UsageError(
            f"no image of {store.path} to {purpose} {network} on has a cell: choose other images, or build others"
        )


def refuse_semantic_masks(store: Store, image_ids: Iterable[str], network: str) -> None:
    """Refuse a store of semantic masks: no image has more than one cell, and most such cells are in pieces.

    Raises
    ------
    UsageError
        If the store contains no instances.
    """
    ids = list(image_ids)
    counts = np.array([store[image_id].metadata.cells for image_id in ids])
    if (counts > 1).any():
        return
    ones = [image_id for image_id, cells in zip(ids, counts, strict=True) if cells == 1][:_LOOKED_AT]
    pieces = [int(label(store[image_id].read("labels") > 0, connectivity=2, return_num=True)[1]) for image_id in ones]
    if np.median(pieces) > 1:
        others = ", ".join(name for name, kind in NETWORKS.items() if not kind.needs_cells)
        raise UsageError(
            f"{store.path} contains semantic masks: no image has more than one cell, and most are in pieces "
            f"({int(np.median(pieces))} in the median). {network} learns to separate cells, which takes one label per "
            f"cell; {others} can be trained on this store"
        )
