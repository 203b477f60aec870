"""Cellpose's ``_seg.npy``, as written by `cellpose.io.masks_flows_to_seg` and opened by its program.

https://cellpose.readthedocs.io/en/latest/outputs.html
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import runs_from_labels
from cellprep.formats.annotations.content import Content


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>_seg.npy``, and the picture. Cells are renumbered from 1, without gaps."""
    masks = np.searchsorted([0, *content.visible], content.labels)
    dtype = np.uint16 if len(content.visible) < np.iinfo(np.uint16).max else np.uint32
    masks = masks.astype(dtype)
    picture = content.taken_picture()
    document: dict[str, Any] = {
        "outlines": _outlines(masks),
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


def _outlines(masks: NDArray[Any]) -> NDArray[Any]:
    """Return masks, numbered without gaps, reduced to the outer rim pixels of each cell's components."""
    import cv2

    from cellprep.core.shapes import cutouts

    outlines = np.zeros_like(masks)
    for number, cutout in enumerate(cutouts(runs_from_labels(masks)[0]), start=1):
        contours, _ = cv2.findContours(cutout.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        x, y = np.concatenate(contours)[:, 0].T
        outlines[y + cutout.origin[0], x + cutout.origin[1]] = number
    return outlines
