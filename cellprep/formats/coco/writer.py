"""COCO's JSON of instances, with masks as compressed run lengths: exact, with holes and parts.

https://cocodataset.org/#format-data
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep._version import __version__
from cellprep.core.rle import Runs, runs_from_labels
from cellprep.formats.annotations.content import Content
from cellprep.store import StoredImage

#: The category of cells without a type.
UNTYPED = "cell"
# The store does not know what image files were called. With an extension, ids that hold a dot survive readers
# that cut one off.
_SUFFIX = ".png"


class Listed(Protocol):
    """An image as the file lists it."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def shape(self) -> tuple[int, int]:
        """Its height and width."""


def encode(content: Content) -> list[dict[str, Any]]:
    """Return the annotations of one image, without ids; `category_id` is a name as yet, None for all categories."""
    names: list[str | None] = [name or UNTYPED for name in content.cell_types]
    annotations = _annotations(content.labels, names)
    if content.ignore is not None:
        annotations += _annotations((content.ignore > 0).astype(np.uint8), [None])
    return annotations


def _annotations(labels: NDArray[Any], names: list[str | None]) -> list[dict[str, Any]]:
    from pycocotools import mask

    height, width = labels.shape
    runs, _ = runs_from_labels(labels, "column")
    if not len(runs):
        return []  # pycocotools cannot tell an empty list from a polygon
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
    """Return the run lengths of each mask as COCO counts them, zeros first."""
    ends = runs.starts + runs.lengths
    first = np.zeros(len(ends), bool)
    first[runs.offsets[:-1]] = True
    gaps = runs.starts - np.where(first, 0, np.roll(ends, 1))
    pairs = np.stack([gaps, runs.lengths], axis=1).ravel()
    rest = runs.shape[0] * runs.shape[1] - ends[runs.offsets[1:] - 1]
    counts = [part.tolist() for part in np.split(pairs, 2 * runs.offsets[1:-1])]
    return [[*count, zeros] if zeros else count for count, zeros in zip(counts, rest.tolist(), strict=True)]


def join(images: Sequence[StoredImage], parts: Iterator[tuple[StoredImage, list[dict[str, Any]]]]) -> Iterator[str]:
    """Yield the text of the file."""
    return document(_category_names(images), parts, "labels exported")


def document(
    categories: Iterable[str], parts: Iterable[tuple[Listed, list[dict[str, Any]]]], what: str
) -> Iterator[str]:
    """Yield the text of a file.

    A region to ignore is a crowd of every category, because evaluations look at one category at a time.

    Parameters
    ----------
    categories
        The names of all categories.
    parts
        Each image, with its annotations as `encode` returns them.
    what
        What the file holds, for its description.
    """
    category_ids = {name: number for number, name in enumerate(categories, start=1)}
    listed: list[dict[str, Any]] = []
    number = 0
    yield '{"annotations": ['
    for image, annotations in parts:
        height, width = image.shape
        listed.append({"id": len(listed) + 1, "file_name": image.id + _SUFFIX, "width": width, "height": height})
        for annotation in annotations:
            name = annotation["category_id"]
            for category_id in category_ids.values() if name is None else [category_ids[name]]:
                number += 1
                ids = {"id": number, "image_id": len(listed), "category_id": category_id}
                yield f"{',' if number > 1 else ''}\n{json.dumps({**annotation, **ids})}"
    rest = {
        "images": listed,
        "categories": [{"id": k, "name": name, "supercategory": UNTYPED} for name, k in category_ids.items()],
        "info": {"description": f"{what} by cellprep {__version__}"},
    }
    yield f"\n],\n{json.dumps(rest)[1:]}\n"


def _category_names(images: Sequence[StoredImage]) -> list[str]:
    """Return the types of all cells; cells without one, and a store without any, have the type ``cell``."""
    names = {name for image in images for name in image.metadata.categories}
    if not names or any(sum(image.metadata.cells_of_category) < image.metadata.cells for image in images):
        names.add(UNTYPED)
    return sorted(names)
