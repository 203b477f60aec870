"""Annotations of an image as rows of a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellprep.core.rle import WindowedRuns
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord

#: The columns, and their pandas dtypes.
COLUMNS = {
    "image": "string",
    "row": "Int64",
    "cell_type": "string",
    "area": "Int64",
    "bbox-0": "Int64",
    "bbox-1": "Int64",
    "bbox-2": "Int64",
    "bbox-3": "Int64",
    "at_edge": "boolean",
    "score": "Float64",
    "height": "Int64",
    "width": "Int64",
    "problem": "string",
}


def annotation_rows(record: ImageRecord | FaultyImage) -> dict[str, Sequence[Any]]:
    """Return the annotations of an image by column, with their masks before overlaps are resolved."""
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    shape = None
    if record.needs_shape and record.pixels is not None:
        height, width = record.pixels.decode().shape[-2:]
        shape = (height, width)
    found = record.load(shape)
    height, width = found.runs.shape
    windowed = WindowedRuns.of(found.runs)
    boxes = windowed.boxes.astype(np.int64)
    top, bottom, left, right = boxes if found.runs.order == "row" else boxes[[2, 3, 0, 1]]
    areas = found.runs.areas
    has_pixels = areas > 0
    corners = {
        f"bbox-{k}": [place if seen else None for place, seen in zip(places.tolist(), has_pixels, strict=True)]
        for k, places in enumerate((top, left, bottom, right))
    }
    count = len(areas)
    return {
        "image": [record.image_id] * count,
        "row": found.rows,
        "cell_type": [name or None for name in found.cell_types],
        "area": areas.tolist(),
        **corners,
        "at_edge": windowed.at_edge.tolist(),
        "score": [None] * count if found.scores is None else found.scores,
        "height": [height] * count,
        "width": [width] * count,
    }
