"""COCO instances in JSON, with masks as compressed run lengths or as polygons: both exact, with holes and parts.

https://cocodataset.org/#format-data
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cellprep._version import __version__
from cellprep.core.outlines import join_rings
from cellprep.core.rle import Runs, runs_from_labels
from cellprep.formats.annotations.content import Content, Listed, Whole

#: The category of cells without a type.
UNTYPED = "cell"
# Used if the name of an image's file is unknown. The extension keeps ids with a dot intact in readers that remove
# extensions.
_SUFFIX = ".png"


def encode(content: Content) -> list[dict[str, Any]]:
    """Return the annotations of one image, without ids; `category_id` is still a name, or None for all categories."""
    masks = content.masks("column")
    names: list[str | None] = [name or UNTYPED for name in masks.cell_types]
    annotations = _annotations(masks.runs, names)
    if masks.scores is not None:
        scores = np.round(np.array(masks.scores, np.float64), 4).tolist()
        annotations = [{**one, "score": score} for one, score in zip(annotations, scores, strict=True)]
    if masks.type_scores is not None:
        scores = np.round(np.array(masks.type_scores, np.float64), 4).tolist()
        annotations = [{**one, "category_score": score} for one, score in zip(annotations, scores, strict=True)]
    if content.ignore is not None:
        annotations += _annotations(runs_from_labels((content.ignore > 0).astype(np.uint8), "column")[0], [None])
    return annotations


def encode_polygons(content: Content) -> list[dict[str, Any]]:
    """Return the annotations as `encode` does, but with a polygon per component; crowds keep run lengths, as in COCO.

    Holes are connected to the outline by a line of no width, for which pycocotools makes the same pixels.
    """
    annotations = encode(content)
    for annotation, outline in zip(annotations, content.outlines(), strict=False):  # crowds come last
        annotation["segmentation"] = [join_rings(polygon).ravel().tolist() for polygon in outline.polygons]
    return annotations


def _annotations(runs: Runs, names: list[str | None]) -> list[dict[str, Any]]:
    from pycocotools import mask

    height, width = runs.shape
    if not len(runs):
        return []  # pycocotools takes an empty list for a polygon
    rles = mask.frPyObjects([{"size": [height, width], "counts": counts} for counts in _counts(runs)], height, width)
    described = zip(rles, runs.areas.tolist(), mask.toBbox(rles).tolist(), names, strict=True)
    return [
        {
            "category_id": name,
            "iscrowd": int(name is None),
            "area": area,
            "bbox": [int(value) for value in box],
            "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
        }
        for rle, area, box, name in described
    ]


def _counts(runs: Runs) -> list[list[int]]:
    """Return the run lengths of each mask in COCO's form, zeros first."""
    ends = runs.starts + runs.lengths
    first = np.zeros(len(ends), bool)
    first[runs.offsets[:-1]] = True
    gaps = runs.starts - np.where(first, 0, np.roll(ends, 1))
    pairs = np.stack([gaps, runs.lengths], axis=1).ravel()
    rest = runs.shape[0] * runs.shape[1] - ends[runs.offsets[1:] - 1]
    counts = [part.tolist() for part in np.split(pairs, 2 * runs.offsets[1:-1])]
    return [[*count, zeros] if zeros else count for count, zeros in zip(counts, rest.tolist(), strict=True)]


def join(whole: Whole, parts: Iterable[tuple[Listed, list[dict[str, Any]]]]) -> Iterator[str]:
    """Yield the text of the file.

    A region to ignore becomes a crowd of every category, because evaluations use one category at a time.
    """
    names = sorted({name or UNTYPED for name in whole.types or ("",)})
    category_ids = {name: number for number, name in enumerate(names, start=1)}
    listed: list[dict[str, Any]] = []
    number = 0
    yield '{"annotations": ['
    for image, annotations in parts:
        height, width = image.shape
        file_name = image.file_name or image.id + _SUFFIX
        listed.append({"id": len(listed) + 1, "file_name": file_name, "width": width, "height": height})
        for annotation in annotations:
            name = annotation["category_id"]
            for category_id in category_ids.values() if name is None else [category_ids[name]]:
                number += 1
                ids = {"id": number, "image_id": len(listed), "category_id": category_id}
                yield f"{',' if number > 1 else ''}\n{json.dumps({**annotation, **ids})}"
    rest = {
        "images": listed,
        "categories": [{"id": k, "name": name, "supercategory": UNTYPED} for name, k in category_ids.items()],
        "info": {"description": f"{whole.what} by cellprep {__version__}"},
    }
    yield f"\n],\n{json.dumps(rest)[1:]}\n"
