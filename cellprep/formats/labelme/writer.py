"""LabelMe's JSON: the outlines of one image, editable in LabelMe.

https://github.com/wkentaro/labelme
"""

import json
from typing import Any

from cellprep.core.outlines import join_rings
from cellprep.formats.annotations.content import Content, Outline

_UNTYPED = "cell"
_VERSION = "5.5.0"  # version of LabelMe that writes this form


def encode(content: Content) -> dict[str, bytes]:
    """Return ``<id>.json`` with polygons, and the picture.

    The polygons of a cell with several components share a `group_id`, its label; the name of the cell is their
    description. Holes are connected to the outline by a line of no width.
    """
    height, width = content.shape
    picture = content.taken_picture()
    document: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": [shape for outline in content.outlines() for shape in _shapes(outline)],
        "imagePath": next(iter(picture), content.picture_place() or f"{content.image_id}.png"),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return {f"{content.image_id}.json": json.dumps(document).encode(), **picture}


def _shapes(outline: Outline) -> list[dict[str, Any]]:
    return [
        {
            "label": outline.cell_type or _UNTYPED,
            "points": join_rings(polygon).astype(float).tolist(),
            "group_id": outline.number if len(outline.polygons) > 1 else None,
            "description": outline.name,
            "shape_type": "polygon",
            "flags": {},
        }
        for polygon in outline.polygons
    ]
