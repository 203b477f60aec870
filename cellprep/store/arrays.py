"""Arrays on disk: plain Zarr format 3 with one chunk per array unless it is huge, without zarr-python's overhead.

zarr-python takes 8 to 10 ms for work that its codecs do in 1 ms. The bytes are the same; a test compares them with
those of zarr-python.
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
    """Return the path of an array within its image's group: label images are in a folder of their own in OME-Zarr."""
    return "labels/instances/0" if name == "labels" else name


def array_files(name: str, shape: tuple[int, ...]) -> Iterator[str]:
    """Yield the files of an array, relative to its image's folder: its metadata and its chunks."""
    folder = Path(array_path(name))
    yield (folder / "zarr.json").as_posix()
    for path, _ in file_regions(folder, name, shape):
        yield path.as_posix()


def write_array(folder: Path, name: str, array: NDArray[Any]) -> int:
    """Write an array into a new folder, and return the size of its chunks in bytes.

    Parameters
    ----------
    folder
        The array's folder; its parent must exist.
    name
        The array's name, which determines the names of its dimensions.
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
    """Yield the files that `write_array` would write, with their bytes."""
    yield folder / "zarr.json", array_document(name, array.shape, array.dtype.name)
    file, chunk = chunk_shapes(name, array.shape)
    for path, region in file_regions(folder, name, array.shape):
        part = array[region]
        yield path, encode_shard(part, file, chunk) if chunk else encode_chunk(part)


def make_folders(path: Path, below: Path) -> None:
    """Create the folders of a file below `below`, which may have been removed if the run is over."""
    folder = below
    for part in path.parts[len(below.parts) : -1]:
        folder /= part
        folder.mkdir(exist_ok=True)


def begin_array(folder: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Write the metadata of an array into a new folder; the values follow later."""
    folder.mkdir()
    (folder / "zarr.json").write_bytes(array_document(name, shape, dtype))


def read_array(folder: Path, name: str, window: Window | None = None) -> NDArray[Any]:
    """Read an array that `write_array` wrote.

    Parameters
    ----------
    folder
        The array's folder.
    name
        The array's name.
    window
        A bounded slice for each axis, within the array; by default the whole array. Of a huge array only the chunks in
        the window are read.

    Raises
    ------
    StoreError
        If there is no array, or its bytes are damaged.
    """
    shape, dtype = array_form(folder, name)
    wanted = window or tuple(slice(0, size) for size in shape)
    size = tuple(part.stop - part.start for part in wanted)
    try:
        check_memory(math.prod(size) * dtype.itemsize, f"{folder}, of shape {size},")
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
    """Return the shape and dtype of an array that `write_array` wrote.

    Raises
    ------
    StoreError
        If there is no array, or its metadata were changed.
    """
    shape, dtype, _ = _described(folder, name)
    return shape, dtype


def array_additions(folder: Path, name: str) -> list[str]:
    """Return the attributes that other tools added to an array, as `additions` does; raises as `array_form` does."""
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
    # Other keys would change the meaning of its bytes.
    if added is None or not all(key.startswith("attributes.") for key in added):
        raise StoreError(f"{path} was changed since cellprep wrote it")
    return shape, dtype, added


def checked_form(folder: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the result of `array_form`; for a huge array, also check that its files exist, as `check_files` does."""
    shape, dtype = array_form(folder, name)
    check_files(folder, name, shape)
    return shape, dtype


def check_files(folder: Path, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a huge array that has fewer files than its shape requires, before its files are read one by one.

    Raises
    ------
    StoreError
        If files are missing. Arrays in object stores are not checked.
    """
    if chunk_shapes(name, shape)[1] is None or 0 in shape or is_remote(folder):
        return
    claimed = math.prod(-(-size // side) for size, side in zip(shape, chunk_shapes(name, shape)[0], strict=True))
    try:
        present = sum(1 for _ in files_below(folder)) - 1  # its zarr.json
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be read: {error.strerror}") from error
    if present < claimed:
        raise StoreError(f"{folder} is damaged: {present:,} of {claimed:,} chunk files are present")


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
    """Yield the chunk files of an array in a folder, with the part of the array that each contains."""
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
