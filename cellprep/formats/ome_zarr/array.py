"""Arrays of Zarr formats 2 and 3 that anybody may have written.

zarr-python loads whatever codec an array names, of packages that are installed; numcodecs' `pickle` runs what it
reads. So each name is looked up here first, and each size is held against what is there, before zarr-python sees it.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.system.files import files_below, read_file
from cellprep.system.memory import check_memory

_COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}
_CHECKSUMS = {"adler32", "crc32", "crc32c", "fletcher32"}
#: What formats 2 and 3 may name: codecs that do arithmetic and nothing else.
_CODECS_2 = {*_COMPRESSORS, *_CHECKSUMS, "delta", "shuffle"}
_CODECS_3 = {
    *("blosc", "bytes", "crc32c", "endian", "gzip", "transpose", "zstd"),
    *(f"numcodecs.{name}" for name in _CODECS_2),
}
_INDEX_CODECS = {"bytes", "crc32c", "endian"}
_NUMBERS = re.compile(r"[<>=|]?[biufc][0-9]+|bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")

_MOST_CHUNKS = 1_000_000
_MOST_ABSENT = 100_000  # chunks without a file, which hold the fill value: zarr-python looks for each

Shape = tuple[int, ...]


def read_zarr(folder: Path) -> NDArray[Any]:
    """Read a whole array: errors are those of `open_zarr`, and TooLargeError if there is not the memory for it."""
    array = open_zarr(folder, whole=True)
    pixels: NDArray[Any] = np.asarray(array[...])
    return pixels


def open_zarr(folder: Path, *, whole: bool = False) -> Any:
    """Open an array, to read parts of it.

    Parameters
    ----------
    folder
        The array's folder.
    whole
        Whether there must be the memory for all of it.

    Returns
    -------
    zarr.Array
        The array, whose codecs are known to do arithmetic and nothing else.

    Raises
    ------
    ImageFileError
        If it is damaged, names codecs or values that are not read, or claims more chunks than are there.
    TooLargeError
        If there is not the memory for one of its chunks, or all of it.
    """
    import zarr

    metadata, version = _metadata(folder)
    try:
        shape, dtype, chunks = _form(metadata, version)
        problem = _problem(metadata, version)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ImageFileError(f"its array has no metadata that are understood: {error!r}") from error
    if problem:
        raise ImageFileError(problem)
    if whole:
        check_memory(math.prod(shape) * dtype.itemsize, f"its array, of {' x '.join(map(str, shape))} values,")
    _check_sizes(folder, shape, dtype, chunks)
    from cellprep.formats.ome_zarr.codecs import bounded

    stored: Any = zarr.open_array(folder, mode="r", zarr_format=version)
    return zarr.Array(zarr.AsyncArray(metadata=bounded(stored.metadata, dtype.itemsize), store_path=stored.store_path))


def _metadata(folder: Path) -> tuple[Any, Any]:
    for name, version in (("zarr.json", 3), (".zarray", 2)):
        try:
            return json.loads(read_file(folder / name)), version
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ImageFileError(f"{name} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ImageFileError(f"{name} is not JSON: {error}") from error
    raise ImageFileError(f"{folder.name!r} is no array: it has neither zarr.json nor .zarray")


def _form(metadata: Any, version: int) -> tuple[Shape, np.dtype[Any], list[Shape]]:
    """Return an array's shape and values, and the shape of its chunks and of those within them."""
    if version == 2:
        name, chunks = metadata["dtype"], [metadata["chunks"]]
    else:
        name, chunks = metadata["data_type"], [metadata["chunk_grid"]["configuration"]["chunk_shape"]]
        codecs = metadata["codecs"]
        while sharding := [codec for codec in codecs if _name(codec) == "sharding_indexed"]:
            chunks.append(sharding[0]["configuration"]["chunk_shape"])
            codecs = sharding[0]["configuration"]["codecs"]
    if not (isinstance(name, str) and _NUMBERS.fullmatch(name)):
        raise ValueError(f"values of the type {name!r}")
    sides = [metadata["shape"], *chunks]
    if not all(type(side) is int and side >= (k > 0) for k, of in enumerate(sides) for side in of):
        raise ValueError(f"shapes {sides}")
    if len({len(of) for of in sides}) > 1:
        raise ValueError(f"shapes {sides}")
    return tuple(metadata["shape"]), np.dtype(name), [tuple(of) for of in chunks]


def _problem(metadata: Any, version: int) -> str | None:
    """Return which codec is not read, if one is not."""
    if version == 2:
        codecs = [*(metadata.get("filters") or []), *([metadata["compressor"]] if metadata.get("compressor") else [])]
        unknown = [codec["id"] for codec in codecs if codec["id"] not in _CODECS_2]
    else:
        unknown = list(_unknown(metadata["codecs"], _CODECS_3))
        if metadata.get("storage_transformers"):
            unknown.append("storage_transformers")
    return f"its array names the codec {unknown[0]!r}, which is not read: it may do anything" if unknown else None


def _unknown(codecs: Any, known: set[str]) -> Iterator[str]:
    for codec in codecs:
        name = _name(codec)
        if name == "sharding_indexed" and known is _CODECS_3:
            within = codec["configuration"]
            yield from _unknown(within["codecs"], known)
            yield from _unknown(within.get("index_codecs", []), _INDEX_CODECS)
        elif name not in known:
            yield name


def _name(codec: Any) -> str:
    name: str = codec if isinstance(codec, str) else codec["name"]
    return name


def _check_sizes(folder: Path, shape: Shape, dtype: np.dtype[Any], chunks: list[Shape]) -> None:
    of_chunk = max(math.prod(chunk) for chunk in chunks) * dtype.itemsize
    check_memory(of_chunk, f"its array, in chunks of {' x '.join(map(str, chunks[0]))} values,")
    number, smallest = (
        math.prod(-(-size // side) for size, side in zip(shape, chunk, strict=True))
        for chunk in (chunks[0], chunks[-1])
    )
    if smallest > _MOST_CHUNKS:
        raise ImageFileError(f"its array claims {smallest:,} chunks: {_MOST_CHUNKS:,} are read at most")
    present = sum(1 for _ in files_below(folder))
    if number - present > _MOST_ABSENT:
        raise ImageFileError(f"its array claims {number:,} chunks, and has {present:,} files")
