"""Structure of a COCO file, and of COCO results: https://cocodataset.org/#format-data and #format-results.

A file is parsed once, except for the masks, which remain bytes of JSON until a worker loads their image. A file of a
million cells therefore needs little more memory than its size.
"""

import codecs
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cellprep.errors import SourceError
from cellprep.formats.annotations.foreign import json_kind

EntryId = int | str


class ImageEntry(msgspec.Struct, gc=False):
    """An image."""

    id: EntryId
    file_name: str = ""
    width: int = 0
    height: int = 0


class AnnotationEntry(msgspec.Struct, gc=False):
    """A cell, or a crowd: a region to ignore. Predicted cells may have scores."""

    id: int
    image_id: EntryId
    category_id: EntryId | None = None
    iscrowd: int | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    score: float | None = None


class CategoryEntry(msgspec.Struct):
    """A type of cells."""

    id: EntryId
    name: str


class Result(msgspec.Struct, gc=False):
    """A predicted cell in a file of COCO results, which is a list of them."""

    image_id: EntryId
    score: float
    category_id: EntryId | None = None
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


@dataclass
class Document:
    """A COCO file.

    Attributes
    ----------
    images, annotations, categories
        Its entries.
    image_problems
        Problems of image entries, by index in `images`.
    annotation_problems
        Problems of annotations, by image id; one each.
    strays
        Problems of entries that belong to no image, by a name for each.
    notes
        Deviations from the format that could be read nevertheless.
    """

    images: list[ImageEntry]
    annotations: list[AnnotationEntry]
    categories: list[CategoryEntry]
    image_problems: dict[int, str] = field(default_factory=dict)
    annotation_problems: dict[EntryId, str] = field(default_factory=dict)
    strays: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def no_coco(path: Path, content: bytes, what: str, problem: str) -> SourceError:
    """Return the error for a JSON document of another format: the format if it is known, otherwise the problem."""
    return SourceError(f"{path} is not a {what}: {json_kind(content.removeprefix(codecs.BOM_UTF8)) or problem}")
