"""One chunk of an array: compressed with Zstandard, with a CRC-32C."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError

_CHECKSUM_BYTES = 4


@cache
def _zstd() -> Any:
    from numcodecs.zstd import Zstd

    return Zstd(level=0)


def encode_chunk(array: NDArray[Any]) -> bytes:
    """Encode an array as one chunk."""
    data: bytes = _zstd().encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return data + checksum(data)


def checksum(data: bytes) -> bytes:
    """Return the CRC-32C of bytes."""
    value: int = google_crc32c.value(data)
    return value.to_bytes(_CHECKSUM_BYTES, "little")


def decode_chunk(content: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    """Decode a chunk that was read from a file.

    Raises
    ------
    StoreError
        If the bytes are damaged.
    """
    data, told = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if checksum(data) != told:
        raise StoreError(f"{path} is damaged: its checksum does not match")
    problem = f"{path} is damaged: it does not hold an array of shape {shape}"
    if _content_size(data) != math.prod(shape) * dtype.itemsize:  # before that memory is allocated
        raise StoreError(problem)
    try:
        array = np.frombuffer(_zstd().decode(data), dtype.newbyteorder("<")).reshape(shape)
    except (RuntimeError, ValueError) as error:
        raise StoreError(problem) from error
    return array.astype(dtype)  # a writable copy


def _content_size(frame: bytes) -> int:
    """Return the content size in the header of a Zstandard frame (RFC 8878, 3.1.1.1); 0 if it has none."""
    descriptor = frame[4] if len(frame) > 4 else 0
    of_size, has_no_window, of_dictionary = descriptor >> 6, descriptor >> 5 & 1, descriptor & 3
    start = 5 + (1 - has_no_window) + (0, 1, 2, 4)[of_dictionary]
    width = (has_no_window, 2, 4, 8)[of_size]
    return int.from_bytes(frame[start : start + width], "little") + 256 * (of_size == 1)
