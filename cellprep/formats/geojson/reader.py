"""Reader of GeoJSON in pixels: one feature per cell, as exported by QuPath and other programs.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellprep.errors import AnnotationError, RLEError
from cellprep.formats.annotations.documents import decode_any
from cellprep.formats.annotations.json_kinds import GEOJSON_TYPES, json_format
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import Drawing, Faulty, NoArea, Polygon, Shape, points_of, shown
from cellprep.formats.drawings.source import DrawnFiles
from cellprep.formats.layouts.layout import Layout
from cellprep.system.files import open_file
from cellprep.system.memory import check_memory
from cellprep.text.wording import count

_AT_ONCE = 1 << 24  # bytes
_WHAT = "GeoJSON file of outlines"
_WITHOUT_AREA = {"Point", "MultiPoint", "LineString", "MultiLineString"}
_CELLS = ("annotation", "detection", "cell")
_SCORES = ("Score", "Detection probability")  # the second is written by StarDist's extension of QuPath
# Ids of QuPath's object kinds in files before version 0.3.
_OLD_KINDS = {f"Path{kind.title()}Object": kind for kind in _CELLS}


class GeoJSONImage(DrawnImage):
    """Features of one image. Rows are the features' names if these are unique labels, otherwise their positions."""

    __slots__ = ()
    unit = "feature"

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse a collection, a list of features, a feature or a geometry."""
        features = _features(_unpacked(document, self.place), self.place)
        kinds = Counter(_kind(feature) for feature in features if _cell_type(feature) not in self.partial.classes)
        if kinds["annotation"] and kinds["detection"] + kinds["cell"]:
            raise AnnotationError(
                f"{self.place} has {count(kinds['annotation'], 'annotation')} and "
                f"{count(kinds['detection'] + kinds['cell'], 'detection')} of QuPath; the annotations are most "
                "likely regions around the detections: export only the objects that are cells"
            )
        planes = {_plane(feature) for feature in features}
        if len(planes) > 1:
            some = ", ".join(f"z {z} t {t}" for z, t in sorted(planes)[:3])
            raise AnnotationError(f"{self.place} has objects of several planes, {some}: export those of one plane")
        return [
            Drawing(row, _shapes(feature), _cell_type(feature), _score(feature), _name(feature))
            for row, feature in zip(_rows(features), features, strict=True)
        ]


class GeoJSON(DrawnFiles):
    """Annotations in GeoJSON: ``<id>.geojson``, optionally compressed with gzip, or ``<id>.json``."""

    format = "geojson"
    ends = (".geojson", ".geojson.gz", ".json")
    record = GeoJSONImage

    @classmethod
    def is_own(cls, path: Path) -> bool:
        """Return whether a file has the extension or the content of GeoJSON."""
        name = path.name.lower()
        return name.endswith(cls.ends[:2]) or (name.endswith(".json") and json_format(path) == cls.format)

    @classmethod
    def files_among(cls, layout: Layout) -> list[Path]:
        """Return the files with the extension, or other JSON files if there are none."""
        return layout.files(cls.ends[:2]) or layout.files(cls.ends[2:])

    def notes_of(self, files: Sequence[Path]) -> list[str]:
        """Note that nuclei are skipped."""
        for file in files:
            with open_file(file) as stream:
                if b'"nucleusGeometry"' in stream.read(_AT_ONCE):
                    return ["note: skipped: nuclei of cells (nucleusGeometry); the outlines of cells are read"]
        return []


def _unpacked(content: bytes, place: str) -> bytes:
    """Decompress gzip, in which a few bytes may expand to gigabytes."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    found = bytearray()
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            while piece := stream.read(_AT_ONCE):
                found += piece
                check_memory(2 * len(found), f"{place}, decompressed,")
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(
            f"{place} is damaged, its gzip cannot be decompressed: copy or export it again"
        ) from error
    return bytes(found)


def _features(content: bytes, path: str) -> list[Any]:
    document = decode_any(content, path, _WHAT)
    if isinstance(document, dict):
        kind = document.get("type")
        if kind == "FeatureCollection":
            features = document.get("features")
            if isinstance(features, list):
                return features
            raise AnnotationError(f"{path} is not a {_WHAT}: its features are {shown(features)}: they must be a list")
        if isinstance(kind, str) and kind in GEOJSON_TYPES:
            return [document if kind == "Feature" else {"type": "Feature", "geometry": document}]
        raise AnnotationError(f"{path} is not a {_WHAT}: its type is {shown(kind)}, not FeatureCollection or Feature")
    if isinstance(document, list):
        return document
    raise AnnotationError(f"{path} is not a {_WHAT}: it is neither an object nor a list of features")


def _properties(feature: Any) -> dict[str, Any]:
    found = feature.get("properties") if isinstance(feature, dict) else None
    return found if isinstance(found, dict) else {}


def _kind(feature: Any) -> str:
    """Return a feature's kind of QuPath object; an empty string if it has none."""
    properties = _properties(feature)
    kind = properties.get("objectType") or properties.get("object_type")
    if kind is None and isinstance(feature, dict) and isinstance(feature.get("id"), str):
        kind = _OLD_KINDS.get(feature["id"])
    return kind if isinstance(kind, str) else ""


def _plane(feature: Any) -> tuple[int, int]:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    plane = geometry.get("plane") if isinstance(geometry, dict) else None
    z, t = (plane.get("z"), plane.get("t")) if isinstance(plane, dict) else (0, 0)
    return z if type(z) is int else 0, t if type(t) is int else 0


def _rows(features: Sequence[Any]) -> list[int]:
    """Return the labels in the names of features, as cellprep writes them; their positions if not all have one."""
    names = [_properties(feature).get("name") for feature in features]
    labels = [int(name) for name in names if isinstance(name, str) and re.fullmatch("[1-9][0-9]{0,17}", name)]
    return labels if len(set(labels)) == len(features) else list(range(1, len(features) + 1))


def _name(feature: Any) -> str:
    name = _properties(feature).get("name")
    return name if isinstance(name, str) else ""


def _cell_type(feature: Any) -> str:
    found = _properties(feature).get("classification")
    if isinstance(found, dict):
        names = found.get("names")
        found = found.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else "")
    return found if isinstance(found, str) else ""


def _score(feature: Any) -> float | None:
    """Return the score among a feature's measurements, which are an object, or a list before QuPath 0.4."""
    found = _properties(feature).get("measurements")
    if isinstance(found, list):
        found = {str(entry.get("name")): entry.get("value") for entry in found if isinstance(entry, dict)}
    score = next((found[name] for name in _SCORES if name in found), None) if isinstance(found, dict) else None
    return float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None


def _shapes(feature: Any) -> tuple[Shape, ...]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return (Faulty(f"it is {shown(feature)}, not a feature with type, geometry and properties"),)
    kind = _kind(feature)
    if kind and kind not in _CELLS:
        return (Faulty(f"it is a {kind} of QuPath, not one of {', '.join(_CELLS)}: exclude it (--exclude)"),)
    geometry = feature.get("geometry")
    if geometry is None:
        return (NoArea("feature without a geometry"),)
    if not isinstance(geometry, dict):
        return (Faulty(f"its geometry is {shown(geometry)}: it must be an object with type and coordinates"),)
    name, coordinates = geometry.get("type"), geometry.get("coordinates")
    if isinstance(name, str) and name in _WITHOUT_AREA:
        return (NoArea(name),)
    if name == "GeometryCollection":
        return (
            Faulty(
                "its geometry is a GeometryCollection: split it into features with one Polygon or MultiPolygon each"
            ),
        )
    if name not in ("Polygon", "MultiPolygon"):
        return (Faulty(f"its geometry is of the type {shown(name)}: it must be a Polygon or a MultiPolygon"),)
    polygons = [coordinates] if name == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons or not all(isinstance(part, list) and part for part in polygons):
        return (Faulty(f"its {name} has no rings: these are lists of [x, y], the exterior first, then its holes"),)
    try:
        return tuple(Polygon([points_of(ring) for ring in rings]) for rings in polygons)
    except RLEError as error:
        return (Faulty(error.problem),)
