"""GeoJSON for QuPath: one feature per cell, in pixels from the image's upper left corner.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import json
import uuid
from typing import Any

from cellprep.formats.annotations.content import Content, Outline


def encode(content: Content) -> bytes:
    """Return a collection with one feature per visible cell, named by its own name or its label.

    Cells are annotations, which can be edited in QuPath.
    """
    return _collection(content, "annotation")


def encode_detections(content: Content) -> bytes:
    """Return the result of `encode` with cells as detections, with areas: QuPath handles many more of them."""
    return _collection(content, "detection")


def _collection(content: Content, objects: str) -> bytes:
    features = [_feature(content, outline, objects) for outline in content.outlines()]
    lines = ",\n".join(json.dumps(feature, separators=(",", ":")) for feature in features)
    return f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'.encode()


def _feature(content: Content, outline: Outline, objects: str) -> dict[str, Any]:
    coordinates = [[ring.tolist() for ring in polygon] for polygon in outline.polygons]
    single = len(coordinates) == 1
    measurements = {} if outline.score is None else {"Score": round(outline.score, 4)}
    measurements |= {} if outline.type_score is None else {"Class probability": round(outline.type_score, 4)}
    if objects == "detection":
        measurements |= _area(outline, content.pixel_size)
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cellprep:{content.image_id}/{outline.number}")),
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": coordinates[0] if single else coordinates,
        },
        "properties": {
            "objectType": objects,
            "name": outline.name or str(outline.number),
            **({"classification": {"name": outline.cell_type}} if outline.cell_type else {}),
            **({"measurements": measurements} if measurements else {}),
        },
    }


def _area(outline: Outline, pixel_size: float | None) -> dict[str, float]:
    """Return the area under the name of QuPath's own measurement."""
    return {"Area px^2": outline.area} if pixel_size is None else {"Area µm^2": outline.area * pixel_size**2}
