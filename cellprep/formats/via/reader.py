"""Reader of VIA's annotations, version 2: a project or its regions as JSON, or its regions as CSV.

https://www.robots.ox.ac.uk/~vgg/software/via/
"""

import csv
import io
from collections.abc import Iterable, Sequence
from math import degrees
from pathlib import Path
from typing import Any

import msgspec

from cellprep.errors import RLEError, SourceError
from cellprep.formats.annotations.documents import decode_any
from cellprep.formats.annotations.json_kinds import json_format
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import (
    Drawing,
    Ellipse,
    Faulty,
    NoArea,
    Polygon,
    Shape,
    number_of,
    rectangle,
    shown,
)
from cellprep.formats.drawings.source import DrawnEntry, DrawnSet
from cellprep.system.files import open_file

_WHAT = "VIA file"
_COLUMNS = ["filename", "file_size", "file_attributes", "region_count", "region_id"]
_COLUMNS += ["region_shape_attributes", "region_attributes"]
_WITHOUT_AREA = {"point", "polyline"}
_CHOICES = {"dropdown", "radio"}
_LONGEST_FIELD = 10_000_000  # characters


class VIAImage(DrawnImage):
    """Regions of one image. Rows are positions of regions in the image, from 1."""

    __slots__ = ()
    unit = "region"

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse the regions, with their categories."""
        regions = msgspec.json.decode(document, type=list[tuple[Any, str]])
        return [Drawing(row, (_shape(region),), cell_type) for row, (region, cell_type) in enumerate(regions, start=1)]


class VIA(DrawnSet):
    """Annotations in VIA. The category is the region attribute that is a choice, or the only attribute."""

    format = "via"
    record = VIAImage

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a file is VIA's, by its content."""
        if not path.is_file():
            return False
        return is_via_csv(path) or (path.suffix.lower() == ".json" and json_format(path) == cls.format)

    def entries(self, content: bytes) -> list[DrawnEntry]:
        """Parse the file, and find the attribute that is the category."""
        images, settings = _from_csv(content, self.path) if _is_csv(content) else _from_json(content, self.path)
        every = [region for _, regions, _ in images for region in regions]
        name = _category([_attributes(region) for region in every], settings)
        if name:
            self.notes.append(f"cell types are taken from the attribute {name!r} of regions")
        self.note_rectangles(_text(_attributes(region).get(name)) for region in every if _kind(region) == "rect")
        return [
            DrawnEntry(
                f"image {place}",
                file_name,
                msgspec.json.encode([(_drawn(region), _text(_attributes(region).get(name))) for region in regions]),
                problem=problem,
            )
            for place, (file_name, regions, problem) in enumerate(images, start=1)
        ]


#: Name of an image's file, its regions, and their problem.
_Image = tuple[str, list[Any], str]


def is_via_csv(path: Path) -> bool:
    """Return whether a file is a CSV with VIA's columns."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with open_file(path) as file:
        return _is_csv(file.read(1000))


def _is_csv(content: bytes) -> bool:
    first = content.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode(errors="replace")
    return [name.strip(' "\r') for name in first.removeprefix("#").split(",")] == _COLUMNS


def _from_json(content: bytes, path: Path) -> tuple[list[_Image], dict[str, Any]]:
    document = decode_any(content, path, _WHAT)
    settings: Any = {}
    if isinstance(document, dict) and "_via_img_metadata" in document:
        settings = document.get("_via_attributes")
        settings = settings.get("region") if isinstance(settings, dict) else {}
        document = document["_via_img_metadata"]
    if not isinstance(document, dict):
        raise SourceError(f"{path} is not a {_WHAT}: its images are {shown(document)}: they must be an object")
    images = [_image(key, image) for key, image in document.items()]
    return images, settings if isinstance(settings, dict) else {}


def _image(key: str, image: Any) -> _Image:
    if not isinstance(image, dict):
        return key, [], f"it is {shown(image)}, not an object with filename and regions"
    name, regions = image.get("filename"), image.get("regions")
    regions = list(regions.values()) if isinstance(regions, dict) else regions  # as in version 1
    if not isinstance(name, str) or not name:
        return key, [], f"its filename is {shown(name)}: it must be a string"
    if not isinstance(regions, list):
        return name, [], f"its regions are {shown(regions)}: they must be a list"
    return name, regions, ""


def _from_csv(content: bytes, path: Path) -> tuple[list[_Image], dict[str, Any]]:
    try:
        text = content.decode("utf-8-sig")
        csv.field_size_limit(_LONGEST_FIELD)
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is not a {_WHAT}: its CSV cannot be read ({error}): export it again") from error
    images: dict[str, _Image] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(_COLUMNS):
            raise SourceError(f"{path} row {number}: it has {len(row)} fields, not {len(_COLUMNS)}: export it again")
        found = dict(zip(_COLUMNS, row, strict=True))
        name, regions, problem = images.get(found["filename"], (found["filename"], [], ""))
        try:
            shape, attributes = (msgspec.json.decode(found[column]) for column in _COLUMNS[5:])
        except (msgspec.DecodeError, RecursionError):
            problem = problem or f"row {number}: its region is not valid JSON: export it again"
        else:
            if shape:  # an image without regions has a row without a shape
                regions.append({"shape_attributes": shape, "region_attributes": attributes})
        images[name] = (name, regions, problem)
    return list(images.values()), {}


def _drawn(region: Any) -> Any:
    return region.get("shape_attributes") if isinstance(region, dict) else None


def _kind(region: Any) -> Any:
    drawn = _drawn(region)
    return drawn.get("name") if isinstance(drawn, dict) else None


def _attributes(region: Any) -> dict[str, Any]:
    found = region.get("region_attributes") if isinstance(region, dict) else None
    return found if isinstance(found, dict) else {}


def _category(every: Sequence[dict[str, Any]], settings: dict[str, Any]) -> str:
    """Return the name of the attribute that is the category; an empty string if there is none, or several."""
    choices = [name for name, told in settings.items() if isinstance(told, dict) and str(told.get("type")) in _CHOICES]
    if choices:
        return choices[0] if len(choices) == 1 else ""
    names = {name for attributes in every for name in attributes}
    only = names.pop() if len(names) == 1 else ""
    return only if only and all(isinstance(found.get(only, ""), str) for found in every) else ""


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _shape(drawn: Any) -> Shape:
    if not isinstance(drawn, dict):
        return Faulty(f"its shape_attributes are {shown(drawn)}: they must be an object with the name of a shape")
    kind = drawn.get("name")
    if isinstance(kind, str) and kind in _WITHOUT_AREA:
        return NoArea(kind)

    def numbers(names: Iterable[str]) -> list[float]:
        return [number_of(drawn.get(name), name) for name in names]

    try:
        if kind in ("polygon", "polygone"):
            xs, ys = drawn.get("all_points_x"), drawn.get("all_points_y")
            if not (isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys)):
                return Faulty(
                    f"its all_points_x are {shown(xs)} and its all_points_y {shown(ys)}: they must be lists of equal "
                    "length"
                )
            return Polygon([[(number_of(x, "x"), number_of(y, "y")) for x, y in zip(xs, ys, strict=True)]])
        if kind == "rect":
            x, y, width, height = numbers(("x", "y", "width", "height"))
            return rectangle((x, y), (x + width, y + height))
        if kind == "circle":
            x, y, radius = numbers(("cx", "cy", "r"))
            return Ellipse((x, y), (radius, radius))
        if kind == "ellipse":
            x, y, *radii = numbers(("cx", "cy", "rx", "ry"))
            theta = number_of(drawn.get("theta", 0), "theta")
            return Ellipse((x, y), (radii[0], radii[1]), degrees(theta))
    except RLEError as error:
        return Faulty(error.problem)
    return Faulty(f"its shape is {shown(kind)}: only polygon, rect, circle and ellipse are supported")
