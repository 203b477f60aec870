"""COCO files that deviate from the format: read if their meaning is certain, otherwise reported."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cellprep.errors import SourceError
from cellprep.formats.annotations.documents import decode_json
from cellprep.formats.coco.document import (
    AnnotationEntry,
    CategoryEntry,
    Document,
    EntryId,
    ImageEntry,
    Result,
    no_coco,
)

_FORMAT = "COCO file"
_PARTS = "COCO JSON is an object with the lists images, annotations and categories"
_CROWDS = {"0": 0, "1": 1, "false": 0, "true": 1}


class _Strict(msgspec.Struct):
    images: list[ImageEntry]
    annotations: list[AnnotationEntry] | dict[str, AnnotationEntry]
    categories: list[CategoryEntry] = []


class _Loose(msgspec.Struct):
    images: Any = None
    annotations: list[msgspec.Raw] | dict[str, msgspec.Raw] | None = None
    categories: Any = None


class _LooseAnnotation(msgspec.Struct):
    id: Any = None
    image_id: Any = None
    category_id: Any = None
    iscrowd: Any = None
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    score: Any = None


def parse_document(content: bytes, path: Path) -> Document:
    """Parse a COCO file.

    Raises
    ------
    SourceError
        If it is not COCO. Problems of its images and annotations are part of the document.
    """
    try:
        strict = decode_json(content, _Strict, path, _FORMAT)
    except msgspec.ValidationError:
        return _parse_loosely(content, path)
    annotations = strict.annotations
    return Document(
        strict.images,
        list(annotations.values()) if isinstance(annotations, dict) else annotations,
        strict.categories,
    )


def parse_results(content: bytes, path: Path) -> list[Result]:
    """Parse a file of COCO results.

    Raises
    ------
    SourceError
        If it is invalid; the error names the first invalid entry.
    """
    what = "file of COCO results"
    with suppress(msgspec.ValidationError):  # files with errors are read entry by entry
        return decode_json(content, list[Result], path, what)
    try:
        entries = decode_json(content, list[msgspec.Raw], path, what)
    except msgspec.ValidationError:
        raise no_coco(path, content, what, "COCO results are a list") from None
    results = []
    for place, raw in enumerate(entries, start=1):
        entry = _decoded(raw)
        image_id = _entry_id(entry.image_id) if entry else None
        score = _real(entry.score) if entry else None
        if entry is None or image_id is None or score is None:
            problem = f"entry {place} needs image_id, category_id, segmentation and a number as score"
            raise no_coco(path, content, what, problem)
        results.append(Result(image_id, score, _entry_id(entry.category_id), entry.segmentation))
    return results


def _parse_loosely(content: bytes, path: Path) -> Document:
    try:
        loose = decode_json(content, _Loose, path, _FORMAT)
    except msgspec.ValidationError:
        raise no_coco(path, content, _FORMAT, f"{_found(content)}; {_PARTS}") from None
    if not isinstance(loose.images, list) or loose.annotations is None:
        raise no_coco(path, content, _FORMAT, f"{_found(content)}; {_PARTS}")
    document = Document([], [], _categories(loose.categories, path))
    for place, entry in enumerate(loose.images):
        image, problem = _image(entry, place)
        document.images.append(image)
        if problem:
            document.image_problems[place] = problem
    keys = list(loose.annotations) if isinstance(loose.annotations, dict) else []
    raws = list(loose.annotations.values()) if isinstance(loose.annotations, dict) else loose.annotations
    _take_annotations(document, raws, keys)
    return document


def _found(content: bytes) -> str:
    try:
        names = list(msgspec.json.decode(content, type=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "it is a list" if content.lstrip()[:1] == b"[" else "it is not an object"
    shown = ", ".join(map(repr, names[:5])) + (" ..." if len(names) > 5 else "")
    return f"it has: {shown or 'no keys'}"


def _categories(entries: Any, path: Path) -> list[CategoryEntry]:
    if not isinstance(entries, list | None):
        raise SourceError(f"{path}: its categories are not a list of objects with id and name")
    found = []
    for place, entry in enumerate(entries or (), start=1):
        number = _entry_id(entry.get("id")) if isinstance(entry, dict) else None
        if number is None:
            raise SourceError(f"{path}: category {place} of its list needs a whole number as id, and a name")
        name = entry.get("name")
        found.append(CategoryEntry(number, str(number if name is None else name)))
    return found


def _image(entry: Any, place: int) -> tuple[ImageEntry, str]:
    """Return an image's entry, with a placeholder for a missing id, and its problem."""
    nameless = f"entry {place + 1} of images"
    if not isinstance(entry, dict):
        return ImageEntry(nameless), "it is not an object with id, file_name, width and height"
    problems = []
    number = _entry_id(entry.get("id"))
    if number is None:
        problems.append(_wrong("id", entry, "the whole number that its annotations have as image_id"))
    file_name = entry.get("file_name")
    if not isinstance(file_name, str | int | None) or isinstance(file_name, bool):
        problems.append(_wrong("file_name", entry, "a string"))
        file_name = None
    sizes = {}
    for name in ("width", "height"):
        value = entry.get(name)
        sizes[name] = 0 if value is None else _whole(value)
        if sizes[name] is None:
            problems.append(_wrong(name, entry, "a whole number of pixels; or omit both and give --images"))
    image = ImageEntry(
        nameless if number is None else number,
        "" if file_name is None else str(file_name),
        sizes["width"] or 0,
        sizes["height"] or 0,
    )
    return image, "; ".join(problems)


def _take_annotations(document: Document, raws: list[msgspec.Raw], keys: list[str]) -> None:
    entries = [_decoded(raw) for raw in raws]
    own = [
        _whole(keys[place] if entry.id is None and keys else entry.id) if entry else None
        for place, entry in enumerate(entries)
    ]
    ids = [number for number in own if number is not None]
    if len(ids) < len(own):
        document.notes.append(
            f"{len(own) - len(ids):,} of {len(own):,} annotations do not have a whole number as id: "
            "rows are the positions of annotations in the file, from 1"
        )
        ids = list(range(1, len(own) + 1))
    for row, entry in zip(ids, entries, strict=True):
        image_id = _entry_id(entry.image_id) if entry else None
        if entry is None:
            document.strays[f"annotation {row}"] = "it is not an object with image_id and segmentation"
        elif image_id is None:
            document.strays[f"annotation {row}"] = _wrong("image_id", entry, "the id of an image")
        else:
            annotation, problem = _annotation(row, image_id, entry)
            document.annotations.append(annotation)
            if problem:
                document.annotation_problems.setdefault(image_id, f"annotation {row}: {problem}")


def _decoded(raw: msgspec.Raw) -> _LooseAnnotation | None:
    try:
        return msgspec.json.decode(raw, type=_LooseAnnotation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _annotation(row: int, image_id: EntryId, entry: _LooseAnnotation) -> tuple[AnnotationEntry, str]:
    problems = []
    crowd = entry.iscrowd
    iscrowd = _CROWDS.get(crowd.strip().lower()) if isinstance(crowd, str) else _flag(crowd)
    if iscrowd is None:
        problems.append(_wrong("iscrowd", entry, "0 for a cell, 1 for a region to ignore"))
    category = _entry_id(entry.category_id)
    if category is None and entry.category_id is not None:
        problems.append(_wrong("category_id", entry, "the id of a category"))
    score = _real(entry.score)
    if score is None and entry.score is not None:
        problems.append(_wrong("score", entry, "a number"))
    return AnnotationEntry(row, image_id, category, iscrowd or 0, entry.segmentation, score), "; ".join(problems)


def _wrong(name: str, entry: Any, right: str) -> str:
    """Describe a field's value and the valid one."""
    value = entry.get(name) if isinstance(entry, dict) else getattr(entry, name)
    shown = "is missing, or null" if value is None else f"is {_shortened(value)}"
    return f"its {name} {shown}: it must be {right}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flag(value: Any) -> int | None:
    return 0 if value is None else int(value) if isinstance(value, bool) else _whole(value)


def _whole(value: Any) -> int | None:
    """Return a whole number, which may be written as a float or a string; None for other values."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,30}(\.0*)?", value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _entry_id(value: Any) -> EntryId | None:
    return value if isinstance(value, str) else _whole(value)


def _real(value: Any) -> float | None:
    """Return a finite number, which may be written as a string; None for other values."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
