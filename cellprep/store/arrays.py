"""Arrays on disk: one chunk each, plain Zarr format 3, written and read without zarr-python's overhead.

zarr-python needs 8 to 10 ms for what its codecs do in 1; the bytes here are the same, and a test holds
them against zarr-python's own.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError, TooLargeError
from cellprep.memory import check_memory
from cellprep.store.documents import array_document, chunk_separator

__all__ = ["array_files", "array_form", "array_path", "encode_chunk", "read_array", "write_array"]

_CHECKSUM_BYTES = 4


def array_path(name: str) -> str:
    """Return where an array lies within its image's group: label images have a place of their own in OME-Zarr."""
    return "labels/instances/0" if name == "labels" else name


def array_files(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return the files that hold an array, relative to its image's folder: its metadata and its chunk, if any."""
    folder = Path(array_path(name))
    chunks = [] if 0 in shape else [_chunk_path(folder, name, len(shape))]
    return [path.as_posix() for path in (folder / "zarr.json", *chunks)]


def write_array(folder: Path, name: str, array: NDArray[Any]) -> int:
    """Write an array into a new folder, and return the size of its chunk in bytes.

    Parameters
    ----------
    folder
        The array's folder; the one above it must exist.
    name
        The array's name, which decides the names of its dimensions.
    array
        The array, in any memory layout.
    """
    folder.mkdir()
    (folder / "zarr.json").write_bytes(array_document(name, array.shape, array.dtype.name))
    if not array.size:
        return 0
    chunk = _chunk_path(folder, name, array.ndim)
    if chunk.parent != folder:
        chunk.parent.mkdir(parents=True)
    return chunk.write_bytes(encode_chunk(array))


@cache
def _zstd() -> Any:
    from numcodecs.zstd import Zstd

    return Zstd(level=0)


def encode_chunk(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of one chunk."""
    data: bytes = _zstd().encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    checksum: int = google_crc32c.value(data)
    return data + checksum.to_bytes(_CHECKSUM_BYTES, "little")


def read_array(folder: Path, name: str) -> NDArray[Any]:
    """Read the array that `write_array` wrote.

    Raises
    ------
    StoreError
        If there is no array, or its bytes are not those that were written.
    """
    shape, dtype = array_form(folder, name)
    try:
        check_memory(math.prod(shape) * dtype.itemsize, f"{folder}, of the shape {shape},")
    except TooLargeError as error:
        raise StoreError(str(error)) from None
    if 0 in shape:
        return np.zeros(shape, dtype)
    return _read_chunk(_chunk_path(folder, name, len(shape)), shape, dtype)


def array_form(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of the array that `write_array` wrote.

    Raises
    ------
    StoreError
        If there is no array, or what it says of itself is not what was written.
    """
    path = folder / "zarr.json"
    try:
        document = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    try:
        metadata = json.loads(document)
        shape, dtype = tuple(metadata["shape"]), np.dtype(metadata["data_type"])
        intact = document == array_document(name, shape, dtype.name)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if not intact:
        raise StoreError(f"{path} is not as cellprep wrote it")
    return shape, dtype


def _read_chunk(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if google_crc32c.value(data).to_bytes(_CHECKSUM_BYTES, "little") != checksum:
        raise StoreError(f"{path} is damaged: its checksum differs")
    problem = f"{path} is damaged: it does not hold an array of shape {shape}"
    if _content_size(data) != math.prod(shape) * dtype.itemsize:  # before it takes that memory
        raise StoreError(problem)
    try:
        array = np.frombuffer(_zstd().decode(data), dtype.newbyteorder("<")).reshape(shape)
    except (RuntimeError, ValueError) as error:
        raise StoreError(problem) from error
    return array.astype(dtype)  # a copy, which may be written to


def _content_size(frame: bytes) -> int:
    """Return how many bytes a frame of Zstandard says that it holds (RFC 8878, 3.1.1.1); 0 if it does not say."""
    descriptor = frame[4] if len(frame) > 4 else 0
    of_size, has_no_window, of_dictionary = descriptor >> 6, descriptor >> 5 & 1, descriptor & 3
    start = 5 + (1 - has_no_window) + (0, 1, 2, 4)[of_dictionary]
    width = (has_no_window, 2, 4, 8)[of_size]
    return int.from_bytes(frame[start : start + width], "little") + 256 * (of_size == 1)


def _chunk_path(folder: Path, name: str, dimensions: int) -> Path:
    return folder / chunk_separator(name).join(["c", *["0"] * dimensions])
