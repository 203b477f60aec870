"""GeoJSON as QuPath takes it: a feature per cell, in pixels from the image's upper left corner.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import json
import uuid
from typing import Any

from cellprep.core.outlines import Polygon, trace_outlines
from cellprep.formats.annotations.content import Content


def encode(content: Content) -> bytes:
    """Return a collection of one feature per cell with pixels.

    Cells are annotations, because QuPath's detections cannot be edited. Their name is their label.
    """
    types = dict(zip(content.visible, content.cell_types, strict=True))
    features = [
        _feature(content.image_id, label, types[label], polygons)
        for label, polygons in trace_outlines(content.labels).items()
    ]
    lines = ",\n".join(json.dumps(feature, separators=(",", ":")) for feature in features)
    return f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'.encode()


def _feature(image_id: str, label: int, cell_type: str, polygons: list[Polygon]) -> dict[str, Any]:
    coordinates = [[ring.tolist() for ring in polygon] for polygon in polygons]
    single = len(coordinates) == 1
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cellprep:{image_id}/{label}")),
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": coordinates[0] if single else coordinates,
        },
        "properties": {
            "objectType": "annotation",
            "name": str(label),
            **({"classification": {"name": cell_type}} if cell_type else {}),
        },
    }
