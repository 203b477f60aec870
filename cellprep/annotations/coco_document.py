"""What stands in a COCO file, and in one of COCO results: https://cocodataset.org/#format-data and #format-results.

A file is parsed once, but for the masks: these stay bytes of JSON until a worker loads their image, so that a file of
a million cells takes little more memory than its size.
"""

import codecs
from pathlib import Path
from typing import TypeVar

import msgspec

from cellprep.errors import SourceError

__all__ = [
    "AnnotationEntry",
    "CategoryEntry",
    "Document",
    "EntryId",
    "ImageEntry",
    "Result",
    "parse",
    "read",
]

EntryId = int | str
Content = TypeVar("Content")


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
    category_id: EntryId = ""
    iscrowd: int | bool | None = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    score: float | None = None


class CategoryEntry(msgspec.Struct):
    """A type of cells."""

    id: EntryId
    name: str


class Document(msgspec.Struct):
    """A COCO file."""

    images: list[ImageEntry]
    annotations: list[AnnotationEntry] | dict[str, AnnotationEntry]
    categories: list[CategoryEntry] = []


class Result(msgspec.Struct, gc=False):
    """A predicted cell in a file of COCO results, which is a list of them."""

    image_id: EntryId
    score: float
    category_id: EntryId = ""
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


def read(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def parse(content: bytes, kind: type[Content], path: Path, what: str) -> Content:
    """Parse the content of a file.

    Raises
    ------
    SourceError
        If it is not of that kind.
    """
    try:
        return msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{path} is no {what}: {error}") from error
