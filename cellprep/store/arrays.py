"""Arrays on disk: plain Zarr format 3, one chunk each unless huge, written and read without zarr-python's overhead.

zarr-python needs 8 to 10 ms for what its codecs do in 1; the bytes here are the same, and a test holds
them against zarr-python's own.
"""

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.windows import Window, overlap, within
from cellprep.errors import StoreError, TooLargeError
from cellprep.store.chunks import decode_chunk, encode_chunk
from cellprep.store.documents import additions, array_document, chunk_separator, chunk_shapes
from cellprep.store.shards import encode_shard, read_chunks
from cellprep.system.files import files_below, open_file, read_file
from cellprep.system.memory import check_memory
from cellprep.system.places import is_remote


def array_path(name: str) -> str:
    """Return where an array lies within its image's group: label images have a place of their own in OME-Zarr."""
    return "labels/instances/0" if name == "labels" else name


def array_files(name: str, shape: tuple[int, ...]) -> Iterator[str]:
    """Yield the files that hold an array, relative to its image's folder: its metadata and its chunks, if any."""
    folder = Path(array_path(name))
    yield (folder / "zarr.json").as_posix()
    for path, _ in file_regions(folder, name, shape):
        yield path.as_posix()


def write_array(folder: Path, name: str, array: NDArray[Any]) -> int:
    """Write an array into a new folder, and return the size of its chunks in bytes.

    Parameters
    ----------
    folder
        The array's folder; the one above it must exist.
    name
        The array's name, which decides the names of its dimensions.
    array
        The array, in any memory layout.
    """
    begin_array(folder, name, array.shape, array.dtype.name)
    size = 0
    for path, content in encode_array(folder, name, array):
        if path.name != "zarr.json":
            make_folders(path, folder)
            size += path.write_bytes(content)
    return size


def encode_array(folder: Path, name: str, array: NDArray[Any]) -> Iterator[tuple[Path, bytes]]:
    """Yield the files that `write_array` would write, and their bytes, one after the other."""
    yield folder / "zarr.json", array_document(name, array.shape, array.dtype.name)
    file, chunk = chunk_shapes(name, array.shape)
    for path, region in file_regions(folder, name, array.shape):
        part = array[region]
        yield path, encode_shard(part, file, chunk) if chunk else encode_chunk(part)


def make_folders(path: Path, below: Path) -> None:
    """Make the folders below another that a file is to lie in; that one may be gone, if the run is over."""
    folder = below
    for part in path.parts[len(below.parts) : -1]:
        folder /= part
        folder.mkdir(exist_ok=True)


def begin_array(folder: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Write what an array says of itself into a new folder, to which its values are still to come."""
    folder.mkdir()
    (folder / "zarr.json").write_bytes(array_document(name, shape, dtype))


def read_array(folder: Path, name: str, window: Window | None = None) -> NDArray[Any]:
    """Read the array that `write_array` wrote.

    Parameters
    ----------
    folder
        The array's folder.
    name
        The array's name.
    window
        A slice of each axis, with both ends, within the array; all of it unless given. Of a huge array only the
        chunks that the window touches are read.

    Raises
    ------
    StoreError
        If there is no array, or its bytes are not those that were written.
    """
    shape, dtype = array_form(folder, name)
    wanted = window or tuple(slice(0, size) for size in shape)
    size = tuple(part.stop - part.start for part in wanted)
    try:
        check_memory(math.prod(size) * dtype.itemsize, f"{folder}, of the shape {size},")
    except TooLargeError as error:
        raise StoreError(str(error)) from None
    if 0 in size:
        return np.zeros(size, dtype)
    file, chunk = chunk_shapes(name, shape)
    if chunk is None:
        ((path, _),) = file_regions(folder, name, shape)
        return decode_chunk(_read(path), shape, dtype, path)[wanted]
    result = np.empty(size, dtype)
    for path, region in file_regions(folder, name, shape):
        if shared := overlap(wanted, region):
            result[within(shared, wanted)] = _read_shard(path, file, chunk, dtype, within(shared, region))
    return result


def array_form(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of the array that `write_array` wrote.

    Raises
    ------
    StoreError
        If there is no array, or what it says of itself is not what was written.
    """
    shape, dtype, _ = _described(folder, name)
    return shape, dtype


def array_additions(folder: Path, name: str) -> list[str]:
    """Return the attributes that others added to an array, as `additions` does; raises as `array_form` does."""
    return _described(folder, name)[2]


def _described(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any], list[str]]:
    path = folder / "zarr.json"
    document = _read(path)
    try:
        metadata = json.loads(document)
        shape, dtype = tuple(metadata["shape"]), np.dtype(metadata["data_type"])
        added = additions(document, array_document(name, shape, dtype.name))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if added is None or not all(key.startswith("attributes.") for key in added):  # others say what its bytes mean
        raise StoreError(f"{path} is not as cellprep wrote it")
    return shape, dtype, added


def checked_form(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return what `array_form` does, of a huge array only if its files are there; raises as `check_files` does, too."""
    shape, dtype = array_form(folder, name)
    check_files(folder, name, shape)
    return shape, dtype


def check_files(folder: Path, name: str, shape: tuple[int, ...]) -> None:
    """Refuse an array of a huge image that has fewer files than its shape claims, before anybody goes through them.

    Raises
    ------
    StoreError
        If files are missing. In an object store nobody looks.
    """
    if chunk_shapes(name, shape)[1] is None or 0 in shape or is_remote(folder):
        return
    claimed = math.prod(-(-size // side) for size, side in zip(shape, chunk_shapes(name, shape)[0], strict=True))
    try:
        present = sum(1 for _ in files_below(folder)) - 1  # its zarr.json
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be read: {error.strerror}") from error
    if present < claimed:
        raise StoreError(f"{folder} is damaged: files of its chunks are missing, {present:,} of {claimed:,} are there")


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def _read_shard(
    path: Path, file: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype[Any], window: Window
) -> NDArray[Any]:
    result = np.empty([part.stop - part.start for part in window], dtype)
    try:
        with open_file(path) as content:
            for region, data in read_chunks(content, file, chunk, window):
                shared = overlap(window, region)
                assert shared
                result[within(shared, window)] = decode_chunk(data, chunk, dtype, path)[within(shared, region)]
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    return result


def file_regions(folder: Path, name: str, shape: tuple[int, ...]) -> Iterator[tuple[Path, Window]]:
    """Yield the files in a folder that hold an array, but for its metadata, and the part of it that is in each."""
    if 0 in shape:
        return
    sides, _ = chunk_shapes(name, shape)
    for place in product(*(range(-(-size // side)) for size, side in zip(shape, sides, strict=True))):
        path = folder / chunk_separator(name).join(["c", *map(str, place)])
        yield (
            path,
            tuple(
                slice(k * side, min((k + 1) * side, size)) for k, side, size in zip(place, sides, shape, strict=True)
            ),
        )
