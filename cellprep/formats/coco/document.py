"""The contents of a COCO file, and of one of COCO results: https://cocodataset.org/#format-data and #format-results.

A file is parsed once, but for the masks: these stay bytes of JSON until a worker loads their image, so that a file of
a million cells takes little more memory than its size.
"""

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from cellprep.errors import SourceError
from cellprep.formats.annotations.foreign import json_kind, kind_of
from cellprep.system.files import read_file

EntryId = int | str
Content = TypeVar("Content")

_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_NO_NUMBER = re.compile(rb"-?\b(?:NaN|Infinity)\b")
_NO_NUMBER_OR_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"|' + _NO_NUMBER.pattern)


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
        What it lists.
    image_problems
        What is wrong with the entries of images, by their places in `images`.
    annotation_problems
        What is wrong with annotations, by the ids of their images; one each.
    strays
        What is wrong with entries that belong to no image, by names for them.
    notes
        What is not as the format has it, but could be read all the same.
    """

    images: list[ImageEntry]
    annotations: list[AnnotationEntry]
    categories: list[CategoryEntry]
    image_problems: dict[int, str] = field(default_factory=dict)
    annotation_problems: dict[EntryId, str] = field(default_factory=dict)
    strays: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    try:
        return read_file(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def decode_json(content: bytes, kind: type[Content], path: Path, what: str) -> Content:
    """Decode JSON, whose numbers may be NaN or infinite: these become null.

    Raises
    ------
    SourceError
        If it is no JSON; `what` says what it should be.
    msgspec.ValidationError
        If it is not of the kind.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return msgspec.json.decode(_with_nulls(content), type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{path} is no {what}: {_why_no_json(content, error, path)}") from error


def no_coco(path: Path, content: bytes, what: str, problem: str) -> SourceError:
    """Return the error of a JSON document that is something else: its format, if that is known, or the problem."""
    return SourceError(f"{path} is no {what}: {json_kind(content.removeprefix(codecs.BOM_UTF8)) or problem}")


def _with_nulls(content: bytes) -> bytes:
    """Return JSON with null where NaN and Infinity stand as numbers, and not within texts."""
    if b"\\" in content:  # quotes may be parts of texts, which have to be parsed
        return _NO_NUMBER_OR_TEXT.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", content)
    pieces, end, quotes = [], 0, 0
    for found in _NO_NUMBER.finditer(content):
        before = content[end : found.start()]
        quotes += before.count(b'"')
        pieces += [before, found[0] if quotes % 2 else b"null"]
        end = found.end()
    return b"".join([*pieces, content[end:]])


def _why_no_json(content: bytes, error: Exception, path: Path) -> str:
    if not content.strip():
        return "it is empty"
    if isinstance(error, RecursionError):
        return "its lists are nested too deep"
    if name := _ENCODINGS.get(content[:2]):
        return f"its text is {name}: save it as UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8: save it so"
    if "truncated" in str(error):
        return "it ends in the middle of its JSON: copy or export it again"
    if content.lstrip()[:1] not in b"{[":
        return kind_of(path) or "its text is no JSON"
    found = re.search(r"byte (\d+)", str(error))
    place = int(found[1]) if found else 0
    before = content[:place].rpartition(b"\n")
    near = content[place : place + 20].decode("utf-8", "replace")
    line, column = before[0].count(b"\n") + bool(before[1]) + 1, len(before[2]) + 1
    return f"its JSON is broken in line {line}, column {column}, at {near!r}: mend it or export it again"
