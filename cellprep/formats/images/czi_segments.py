"""Segments of CZI, checked before the manufacturer's library reads them, as it crashes on damaged ones."""

import struct
from collections.abc import Iterator
from typing import IO, Any

from cellprep.errors import ImageFileError

_HEADER = struct.Struct("<16sqq")  # of a segment: type, allocated bytes, used bytes
_FILE = struct.Struct("<iiii16s16siqqiq")
_BLOCK = struct.Struct("<iiq")  # sizes of metadata, attachment and pixels in bytes
_ENTRY = struct.Struct("<2siqiiBB4si")
_DIMENSION = struct.Struct("<4siifi")

_MOST_BLOCKS = 10_000_000
_MOST_DIMENSIONS = 40
_LONGEST = 2**24  # longest side of a block in pixels
# Bytes of a pixel, by pixel type.
_BYTES = {0: 1, 1: 2, 2: 4, 3: 3, 4: 6, 8: 12, 9: 4, 10: 8, 11: 24, 12: 4, 13: 8}


def check_segments(stream: IO[bytes]) -> None:
    """Refuse a file whose directory, or a block listed in it, claims impossible values.

    Raises
    ------
    ImageFileError
        If a claim is impossible.
    """
    try:
        size = stream.seek(0, 2)
        for place in _places(stream):
            _check_block(stream, place, size)
    except struct.error:
        raise ImageFileError("it is damaged: it is truncated") from None
    finally:
        stream.seek(0)


def _read(stream: IO[bytes], form: struct.Struct) -> tuple[Any, ...]:
    return form.unpack(stream.read(form.size))


def _places(stream: IO[bytes]) -> Iterator[int]:
    """Yield the offsets of the blocks listed in the directory."""
    stream.seek(_HEADER.size)
    *_, directory, _metadata, _pending, _attachments = _read(stream, _FILE)
    stream.seek(max(0, directory))
    kind, *_ = _read(stream, _HEADER)
    (count,) = _read(stream, struct.Struct("<i"))
    if not kind.startswith(b"ZISRAWDIRECTORY") or not 0 < count <= _MOST_BLOCKS:
        raise ImageFileError("it is damaged: it has no directory of its blocks")
    stream.seek(124, 1)
    yield from [_entry(stream)[0] for _ in range(count)]


def _entry(stream: IO[bytes]) -> tuple[int, int | None]:
    """Return the offset of an entry's block, and the number of bytes of its pixels; None if they are compressed."""
    schema, kind, place, _part, compression, *_, count = _read(stream, _ENTRY)
    if schema != b"DV" or not 0 < count <= _MOST_DIMENSIONS:
        raise ImageFileError("it is damaged: the entry of a block is invalid")
    size = _BYTES.get(kind, 0)
    for _ in range(count):
        name, _start, length, _coordinate, stored = _read(stream, _DIMENSION)
        stored = stored or length
        if not 0 <= length <= _LONGEST or not 0 <= stored <= _LONGEST:
            raise ImageFileError(f"it is damaged: a block claims {length:,} pixels")
        size *= stored if name.rstrip(b"\0") in (b"X", b"Y") else 1
    return place, None if compression else size


def _check_block(stream: IO[bytes], place: int, size: int) -> None:
    stream.seek(max(0, place))
    kind, *_ = _read(stream, _HEADER)
    start = stream.tell()
    metadata, attachment, pixels = _read(stream, _BLOCK)
    _, expected = _entry(stream)
    begin = max(start + 256, stream.tell()) + metadata  # the header has at least 256 bytes
    if not kind.startswith(b"ZISRAWSUBBLOCK") or min(metadata, attachment, pixels) < 0 or begin + pixels > size:
        raise ImageFileError(f"it is damaged: the block at {place} is truncated or missing")
    if expected is not None and pixels < expected:
        raise ImageFileError(f"it is damaged: the block at {place} has {pixels:,} bytes of {expected:,}")
