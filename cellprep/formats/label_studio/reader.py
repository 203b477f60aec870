"""Reader of Label Studio's JSON: tasks with annotations, which are lists of regions in percent of the image's size.

https://labelstud.io/guide/export, https://labelstud.io/guide/task_format
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from cellprep.errors import AnnotationError, RLEError, SourceError
from cellprep.formats.annotations.documents import decode_any
from cellprep.formats.annotations.json_kinds import json_format
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import (
    Bitmap,
    Drawing,
    Ellipse,
    Faulty,
    NoArea,
    Polygon,
    Shape,
    number_of,
    points_of,
    rectangle,
    shown,
)
from cellprep.formats.drawings.source import DrawnEntry, DrawnSet
from cellprep.formats.images import is_image_name
from cellprep.formats.label_studio.brush import decode_brush

_WHAT = "Label Studio export"
_AREAS = ("polygon", "brush", "rectangle", "ellipse")
_WITHOUT_AREA = ("keypoint", "vector")
# Entries that are not regions: statements about an image or region, and labels, which are read with their regions.
_NO_REGIONS = {
    *("choices", "textarea", "rating", "number", "taxonomy", "datetime", "ranker", "pairwise", "relation", "labels"),
}
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # prefix that Label Studio adds to file names
_LONGEST_SIDE = 10**9


class LabelStudioImage(DrawnImage):
    """Regions of one image. Rows are positions of regions in the annotation, from 1, without other entries."""

    __slots__ = ()
    unit = "region"

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse the regions, whose labels may be separate entries with the same id."""
        results: list[dict[str, Any]] = msgspec.json.decode(document)
        labels = _labels(results)
        regions = [entry for entry in results if _kind(entry)]
        return [
            Drawing(row, (_shape(entry, shape),), _label_of(entry, labels))
            for row, entry in enumerate(regions, start=1)
        ]


class LabelStudio(DrawnSet):
    """Annotations in Label Studio's JSON. Each task must have one annotation, or one that is the ground truth."""

    format = "label-studio"
    record = LabelStudioImage

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a file is Label Studio's, by its content."""
        return path.is_file() and path.suffix.lower() == ".json" and json_format(path) == cls.format

    def entries(self, content: bytes) -> list[DrawnEntry]:
        """Parse the tasks, except for the numbers of regions."""
        tasks = decode_any(content, self.path, _WHAT)
        if not isinstance(tasks, list):
            raise SourceError(f"{self.path} is not a {_WHAT}: it is {shown(tasks)}, not a list of tasks")
        entries: list[DrawnEntry] = []
        rectangles: list[str] = []
        for place, task in enumerate(tasks, start=1):
            name = _file_name(task)
            try:
                results = _results(task)
                if results is None:
                    self.unannotated.append(name or f"task {place}")
                    continue
                labels = _labels(results)
                rectangles += [_label_of(entry, labels) for entry in results if _kind(entry) == "rectangle"]
                entries.append(DrawnEntry(f"task {place}", name, msgspec.json.encode(results), _size(results)))
            except AnnotationError as error:
                entries.append(DrawnEntry(f"task {place}", name, problem=str(error)))
        self.note_rectangles(rectangles)
        if any(isinstance(task, dict) and task.get("predictions") for task in tasks):
            self.notes.append("note: skipped: predictions, which are not annotations")
        return entries


def _file_name(task: Any) -> str:
    """Return the name of a task's image, without Label Studio's prefix."""
    data = task.get("data") if isinstance(task, dict) else None
    values = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    paths = {key: _path(value) for key, value in values.items()}
    found = next((path for key, path in paths.items() if key == "image"), "")
    found = found or next((path for path in paths.values() if is_image_name(path)), "")
    name = found.rpartition("/")[2]
    return _UPLOADED.sub("", name, count=1) if "/upload/" in found or found == name else name


def _path(value: str) -> str:
    """Return the path in a URL, or the one that the URL of a local file refers to."""
    try:
        address = urlsplit(value)
    except ValueError:
        return ""
    asked = re.search(r"(?:^|&)d=([^&]*)", address.query)
    return unquote(asked[1] if asked else address.path).replace("\\", "/")


def _results(task: Any) -> list[dict[str, Any]] | None:
    """Return the entries of the annotation to use; None if there is none.

    Raises
    ------
    AnnotationError
        If several could be used, or they are invalid.
    """
    annotations = task.get("annotations") if isinstance(task, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise AnnotationError(f"its annotations are {shown(annotations)}: they must be a list of objects")
    done = [one for one in annotations if not one.get("was_cancelled")]
    chosen = [one for one in done if one.get("ground_truth") is True] or done
    if len(chosen) > 1:
        ids = ", ".join(str(one.get("id")) for one in chosen[:5])
        raise AnnotationError(
            f"it has {len(chosen)} annotations ({ids}), by several people or at several times: in Label Studio, mark "
            "one as ground truth or delete the others"
        )
    if not chosen:
        return None
    results = chosen[0].get("result")
    if not isinstance(results, list):
        raise AnnotationError(f"the result of its annotation is {shown(results)}: it must be a list of regions")
    return [entry if isinstance(entry, dict) else {"type": entry} for entry in results]


def _size(results: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """Return the image's size in the regions; None if there are none."""
    found: set[tuple[float, float]] = set()
    for entry in filter(_kind, results):
        height, width = entry.get("original_height"), entry.get("original_width")
        if isinstance(height, int | float) and isinstance(width, int | float):
            found.add((height, width))
    if len(found) > 1:
        some = " and ".join(f"{height} x {width}" for height, width in sorted(found)[:2])
        raise AnnotationError(f"its regions have different sizes of the image, such as {some} (height x width)")
    for height, width in found:
        if not all(side == int(side) and 0 < side <= _LONGEST_SIDE for side in (height, width)):
            raise AnnotationError(
                f"its size is {height} x {width} (height x width): both must be whole numbers above 0"
            )
        return int(height), int(width)
    return None


def _kind(entry: dict[str, Any]) -> str:
    """Return the kind of a region, such as ``polygon``; an empty string if the entry is not a region."""
    kind = entry.get("type")
    return "" if isinstance(kind, str) and kind in _NO_REGIONS else str(kind).lower().removesuffix("labels")


def _label(entry: dict[str, Any]) -> str:
    """Return the first label of an entry, which is stored under the name of its type."""
    value, kind = entry.get("value"), entry.get("type")
    found = value.get(kind) if isinstance(value, dict) and isinstance(kind, str) else None
    return found[0] if isinstance(found, list) and found and isinstance(found[0], str) else ""


def _labels(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the first label of entries by id."""
    labels: dict[str, str] = {}
    for entry in results:
        if isinstance(entry.get("id"), str):
            labels[entry["id"]] = labels.get(entry["id"], "") or _label(entry)
    return labels


def _label_of(entry: dict[str, Any], labels: dict[str, str]) -> str:
    """Return the label of a region, which may be that of another entry with the same id."""
    return _label(entry) or labels.get(str(entry.get("id")), "")


def _shape(entry: dict[str, Any], shape: tuple[int, int]) -> Shape:
    kind, value = _kind(entry), entry.get("value")
    if kind.startswith(_WITHOUT_AREA):
        return NoArea(kind)
    if kind not in _AREAS:
        return Faulty(f"its type is {shown(entry.get('type'))}: only {', '.join(_AREAS)} are supported")
    if entry.get("image_rotation"):
        return Faulty(
            f"its image was rotated by {shown(entry['image_rotation'])} degrees: annotate it without rotation"
        )
    if not isinstance(value, dict):
        return Faulty(f"its value is {shown(value)}: it must be an object")
    across, down = shape[1] / 100, shape[0] / 100  # pixels per percent
    try:
        if kind == "brush":
            rle = value.get("rle")
            if value.get("format") != "rle" or not isinstance(rle, list):
                return Faulty(
                    f"its format is {shown(value.get('format'))} and its rle {shown(rle)}: they must be rle and a list"
                )
            return Bitmap(decode_brush(rle, shape))
        if kind == "polygon":
            return Polygon([[(x * across, y * down) for x, y in points_of(value.get("points"))]])
        x, y = (number_of(value.get(name), name) for name in ("x", "y"))
        degrees = number_of(value.get("rotation", 0), "rotation")
        corner = (x * across, y * down)
        if kind == "ellipse":
            radii = [number_of(value.get(name), name) for name in ("radiusX", "radiusY")]
            return Ellipse(corner, (radii[0] * across, radii[1] * down), degrees)
        width, height = (number_of(value.get(name), name) for name in ("width", "height"))
        opposite = ((x + width) * across, (y + height) * down)
        return rectangle(corner, opposite, degrees, about=corner)
    except RLEError as error:
        return Faulty(error.problem)
