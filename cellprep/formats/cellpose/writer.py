"""Cellpose's ``_seg.npy``, as `cellpose.io.masks_flows_to_seg` writes it and its program opens it.

https://cellpose.readthedocs.io/en/latest/outputs.html
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.formats.annotations.content import Content


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>_seg.npy``, and the picture beside it. Cells are numbered anew from 1, without gaps."""
    masks = np.searchsorted([0, *content.visible], content.labels)
    dtype = np.uint16 if len(content.visible) < np.iinfo(np.uint16).max else np.uint32
    masks = masks.astype(dtype)
    picture = content.taken_picture()
    document: dict[str, Any] = {
        "outlines": masks * _is_outline(masks),
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(len(content.visible), bool),
        "filename": next(iter(picture), content.picture_place() or f"{content.image_id}.tif"),
        "flows": [],
        "diameter": np.nan,
    }
    file = io.BytesIO()
    np.save(file, np.array(document, dtype=object), allow_pickle=True)
    return {f"{content.image_id}_seg.npy": file.getvalue(), **picture}


def _is_outline(masks: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of cells that touch a pixel beside, above or below that is not of the same cell."""
    padded = np.pad(masks, 1, constant_values=0)
    inner = padded[1:-1, 1:-1]
    others = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs: NDArray[np.bool_] = np.any([other != inner for other in others], axis=0)
    return (inner > 0) & differs
