"""Selection of the reader for a JSON file, by its content."""

import codecs
import re
from pathlib import Path

import msgspec

from cellprep.system.files import open_file, read_file

#: Top level of documents: the reader, and required keys of the object or of the first list entry.
_OBJECTS: list[tuple[str, set[str]]] = [
    ("labelme", {"shapes", "imagePath"}),
    ("labelme", {"shapes", "imageHeight"}),
    ("via", {"_via_img_metadata"}),
]
_FIRST_ENTRIES: list[tuple[str, set[str]]] = [
    ("via", {"filename", "regions"}),
    ("label-studio", {"data", "annotations"}),
]
#: Values of ``type`` in GeoJSON.
GEOJSON_TYPES = {
    *("FeatureCollection", "Feature", "GeometryCollection"),
    *("Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString"),
}

# Beginning of a COCO file, which no other supported format has.
_COCO = re.compile(rb'\s*\{\s*"(info|images|annotations|categories|licenses)"\s*:')
# Format of a document that is truncated or invalid.
_BROKEN = {
    "geojson": re.compile(rb'^\s*[\[{].{0,200}"type"\s*:\s*"Feature(Collection)?"', re.DOTALL),
    "labelme": re.compile(rb'^\s*\{.*"shapes"\s*:\s*\[.*"shape_type"', re.DOTALL),
    "via": re.compile(rb'^\s*\{.*("_via_img_metadata"|"region_attributes")', re.DOTALL),
    "label-studio": re.compile(rb'^\s*\[\s*\{.*("original_width"|"completed_by")', re.DOTALL),
}
_HEAD = 65_536  # bytes


def json_format(path: Path) -> str:
    """Return the name of the reader of a JSON file; an empty string if it may be COCO.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with open_file(path) as file:
        head = file.read(_HEAD).removeprefix(codecs.BOM_UTF8)
    if _COCO.match(head):
        return ""
    content = read_file(path).removeprefix(codecs.BOM_UTF8)
    found = format_of_json(content)
    if found is None:
        found = next((name for name, pattern in _BROKEN.items() if pattern.search(head)), "")
    return found


def reader_of_json(path: Path) -> str:
    """Return the name of the reader of a file with JSON content, regardless of its name; an empty string if none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with open_file(path) as file:
        head = file.read(_HEAD).removeprefix(codecs.BOM_UTF8).lstrip()
    if head[:1] not in (b"{", b"["):
        return ""
    if name := json_format(path):
        return name
    top = shallow(read_file(path).removeprefix(codecs.BOM_UTF8))
    return "coco" if isinstance(top, dict) and {"images", "annotations"} <= top.keys() else ""


def format_of_json(content: bytes) -> str | None:
    """Return the name of the reader of a document; an empty string if it is unknown, None if the document is invalid.

    Examples
    --------
    >>> format_of_json(b'{"type": "FeatureCollection", "features": []}'), format_of_json(b"[]"), format_of_json(b"[")
    ('geojson', '', None)
    """
    top = shallow(content)
    if top is None:
        return None
    if isinstance(top, dict):
        if _is_geojson(top):
            return "geojson"
        if name := next((name for name, keys in _OBJECTS if keys <= top.keys()), ""):
            return name
    entries = list(top.values()) if isinstance(top, dict) else top
    first = shallow(bytes(entries[0])) if entries else None
    if not isinstance(first, dict):
        return ""
    if isinstance(top, list) and _is_geojson(first):
        return "geojson"
    is_list = {"via": False, "label-studio": True}
    return next(
        (name for name, keys in _FIRST_ENTRIES if keys <= first.keys() and is_list[name] is isinstance(top, list)), ""
    )


def shallow(content: bytes) -> dict[str, msgspec.Raw] | list[msgspec.Raw] | None:
    """Parse only the outermost object or list of a document; None if it is neither."""
    try:
        return msgspec.json.decode(content, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_geojson(found: dict[str, msgspec.Raw]) -> bool:
    return bytes(found.get("type", b"")).strip().strip(b'"').decode(errors="replace") in GEOJSON_TYPES
