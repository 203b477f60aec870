"""Sizes that compressed strips and tiles claim in their own headers, which decoders trust."""

import re
import struct
from collections.abc import Callable
from contextlib import suppress

from tifffile import COMPRESSION

from cellprep.errors import ImageFileError

JPEGS = (COMPRESSION.JPEG, COMPRESSION.ALT_JPEG, COMPRESSION.JPEG_LOSSY, COMPRESSION.OJPEG)
JPEG2000S = (
    COMPRESSION.JPEG2000,
    COMPRESSION.JPEG_2000_LOSSY,
    COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.APERIO_JP2000_YCBC,
)

_HEAD = 2**12
_SLACK = 2**16  # pixels: blocks of a codec may extend beyond a tile's edge


def has_codestream(compression: int) -> bool:
    """Return whether strips and tiles of a TIFF compression have headers of their own."""
    return compression in _SIZES


def check_codestream(compression: int, segment: Callable[[int], bytes], height: int, width: int) -> None:
    """Raise ImageFileError if a strip or tile claims to be much larger than it is.

    Parameters
    ----------
    compression
        Compression of the TIFF.
    segment
        Returns a given number of its first bytes, or all.
    height, width
        Its size according to the TIFF.
    """
    whole = segment(-1) if compression in _ENDS else b""
    claimed = _claimed(compression, whole or segment(_HEAD)) or _claimed(compression, segment(-1))
    if claimed and claimed[0] * claimed[1] > 4 * height * width + _SLACK:
        raise ImageFileError(
            f"it is damaged: a strip or tile of {height} x {width} pixels claims {claimed[0]} x {claimed[1]}"
        )
    if whole and not has_end(whole, *_ENDS[compression]):
        raise ImageFileError("it is damaged: a strip or tile is truncated")


def has_end(content: bytes, start: bytes = b"\xff\xda", end: bytes = b"\xff\xd9") -> bool:
    """Return whether JPEG data are complete: decoders make up the rest of truncated data.

    Parameters
    ----------
    content
        The data.
    start, end
        Markers of the beginning and the end of the values, which do not occur within these.
    """
    return content.rfind(end) > content.rfind(start)


def _claimed(compression: int, content: bytes) -> tuple[int, int] | None:
    with suppress(struct.error, IndexError):  # other damage is found by the decoder
        return _SIZES[compression](content)
    return None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    place = 2
    while head[place] == 0xFF:
        marker = head[place + 1]
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, place + 5)
            return height, width
        place += 2 + (0 if marker in (0x01, 0xFF, *range(0xD0, 0xD9)) else struct.unpack_from(">H", head, place + 2)[0])
    return None


def size_of_jpeg2000(content: bytes) -> tuple[int, int] | None:
    """Return the (height, width) in a JPEG 2000 header; None if it is truncated, or not JPEG 2000."""
    with suppress(struct.error):
        return _jpeg2000(content)
    return None


def _jpeg2000(head: bytes) -> tuple[int, int] | None:
    start = head.find(b"\xff\x4f\xff\x51")
    right, bottom, left, top = struct.unpack_from(">IIII", head, start + 8)
    return (bottom - top, right - left) if start >= 0 else None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return int.from_bytes(head[27:30], "little") + 1, int.from_bytes(head[24:27], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 26)
    return (height & 0x3FFF, width & 0x3FFF) if kind == b"VP8 " else None


def _png(head: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", head, 16)
    return height, width


def _jpegxr(head: bytes) -> tuple[int, int] | None:
    (start,) = struct.unpack_from("<I", head, 4)
    (entries,) = struct.unpack_from("<H", head, start)
    found = {}
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, _ = struct.unpack_from("<HHI", head, place)
        found[tag] = struct.unpack_from("<H" if kind == 3 else "<I", head, place + 8)[0]
    return (found[0xBC81], found[0xBC80]) if {0xBC80, 0xBC81} <= found.keys() else None


def _lerc(head: bytes) -> tuple[int, int] | None:
    match = re.match(rb"Lerc2 (....)", head, re.DOTALL)
    if not match:
        return None
    (version,) = struct.unpack("<i", match[1])
    height, width = struct.unpack_from("<ii", head, 14 if version >= 3 else 10)
    return height, width


def _jpegxl(head: bytes) -> tuple[int, int] | None:
    start = head.find(b"\xff\x0a")
    if start < 0:
        return None
    bits, taken = int.from_bytes(head[start + 2 : start + 18], "little"), 0

    def take(count: int) -> int:
        nonlocal taken
        found = (bits >> taken) & ((1 << count) - 1)
        taken += count
        return found

    def side(is_small: int) -> int:
        return (take(5) + 1) * 8 if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    is_small = take(1)
    height = side(is_small)
    if ratio := take(3):
        over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height, height * over // under
    return height, side(is_small)


_SIZES: dict[int, Callable[[bytes], tuple[int, int] | None]] = {
    **dict.fromkeys(JPEGS, _jpeg),
    **dict.fromkeys(JPEG2000S, _jpeg2000),
    **dict.fromkeys((COMPRESSION.JPEGXR, COMPRESSION.JPEGXR_NDPI), _jpegxr),
    **dict.fromkeys((COMPRESSION.JPEGXL, COMPRESSION.JPEGXL_DNG), _jpegxl),
    **dict.fromkeys((COMPRESSION.WEBP, COMPRESSION.WEBP_DEPRECATED), _webp),
    COMPRESSION.PNG: _png,
    COMPRESSION.LERC: _lerc,
}
_ENDS: dict[int, tuple[bytes, bytes]] = {
    **dict.fromkeys(JPEGS, (b"\xff\xda", b"\xff\xd9")),
    **dict.fromkeys(JPEG2000S, (b"\xff\x93", b"\xff\xd9")),
}
