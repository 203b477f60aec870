"""JSON documents of annotations, from any program."""

import codecs
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cellprep.errors import SourceError
from cellprep.formats.annotations.foreign import kind_of
from cellprep.system.files import read_file
from cellprep.system.places import as_place

Content = TypeVar("Content")

_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_NO_NUMBER = re.compile(rb"-?\b(?:NaN|Infinity)\b")
_NO_NUMBER_OR_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"|' + _NO_NUMBER.pattern)


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


def decode_json(content: bytes, kind: type[Content], path: Path | str, what: str) -> Content:
    """Decode JSON. NaN and infinity become null.

    Raises
    ------
    SourceError
        If it is not valid JSON; `what` names the expected format.
    msgspec.ValidationError
        If it does not have the expected structure.
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
        raise SourceError(f"{path} is not a {what}: {_why_no_json(content, error, path)}") from error


def decode_any(content: bytes, path: Path | str, what: str) -> Any:
    """Decode any JSON; raises SourceError as `decode_json` does, and for numbers that are too large."""
    try:
        return decode_json(content, Any, path, what)
    except msgspec.ValidationError as error:
        place = str(error).partition(" - at ")[2]
        raise SourceError(f"{path} is not a {what}: it contains a number that is too large, at {place}") from error


def _with_nulls(content: bytes) -> bytes:
    """Replace the numbers NaN and Infinity in JSON by null, except in strings."""
    if b"\\" in content:  # escaped quotes may be in strings, which have to be parsed
        return _NO_NUMBER_OR_TEXT.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", content)
    pieces, end, quotes = [], 0, 0
    for found in _NO_NUMBER.finditer(content):
        before = content[end : found.start()]
        quotes += before.count(b'"')
        pieces += [before, found[0] if quotes % 2 else b"null"]
        end = found.end()
    return b"".join([*pieces, content[end:]])


def _why_no_json(content: bytes, error: Exception, path: Path | str) -> str:
    if not content.strip():
        return "it is empty"
    if isinstance(error, RecursionError):
        return "its lists are nested too deeply"
    if name := _ENCODINGS.get(content[:2]):
        return f"its text is {name}: save it as UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8: save it as UTF-8"
    if "truncated" in str(error):
        return "it ends in the middle of its JSON: copy or export it again"
    if content.lstrip()[:1] not in b"{[":
        return kind_of(as_place(path)) or "its text is not JSON"
    found = re.search(r"byte (\d+)", str(error))
    place = int(found[1]) if found else 0
    before = content[:place].rpartition(b"\n")
    near = content[place : place + 20].decode("utf-8", "replace")
    line, column = before[0].count(b"\n") + bool(before[1]) + 1, len(before[2]) + 1
    return f"its JSON is broken in line {line}, column {column}, at {near!r}: correct it or export it again"
