"""Arrays of Zarr formats 2 and 3 from untrusted sources.

zarr-python loads any codec that an array names from installed packages; numcodecs' `pickle` executes what it reads.
Therefore, codecs are checked against a list here, and sizes against the files, before zarr-python reads the array.
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
#: Allowed codecs of formats 2 and 3, which only do arithmetic.
_CODECS_2 = {*_COMPRESSORS, *_CHECKSUMS, "delta", "shuffle"}
_CODECS_3 = {
    *("blosc", "bytes", "crc32c", "endian", "gzip", "transpose", "zstd"),
    *(f"numcodecs.{name}" for name in _CODECS_2),
}
_INDEX_CODECS = {"bytes", "crc32c", "endian"}
_NUMBERS = re.compile(r"[<>=|]?[biufc][0-9]+|bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")

_MOST_CHUNKS = 1_000_000
_MOST_ABSENT = 100_000  # chunks without a file, which have the fill value: zarr-python looks for each

Shape = tuple[int, ...]


def read_zarr(folder: Path) -> NDArray[Any]:
    """Read a whole array; errors are those of `open_zarr`, and TooLargeError if it does not fit into memory."""
    array = open_zarr(folder, whole=True)
    pixels: NDArray[Any] = np.asarray(array[...])
    return pixels


def open_zarr(folder: Path, *, whole: bool = False) -> Any:
    """Open an array to read parts of it.

    Parameters
    ----------
    folder
        The array's folder.
    whole
        Whether all of it must fit into memory.

    Returns
    -------
    zarr.Array
        The array, which has only allowed codecs.

    Raises
    ------
    ImageFileError
        If it is damaged, has unsupported codecs or values, or claims more chunks than there are.
    TooLargeError
        If one of its chunks, or all of it, does not fit into memory.
    """
    import zarr

    metadata, version = _metadata(folder)
    try:
        shape, dtype, chunks = _form(metadata, version)
        problem = _problem(metadata, version)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ImageFileError(f"its array has invalid metadata: {error!r}") from error
    if problem:
        raise ImageFileError(problem)
    if whole:
        check_memory(math.prod(shape) * dtype.itemsize, f"its array of {' x '.join(map(str, shape))} values")
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
    raise ImageFileError(f"{folder.name!r} is not an array: it has neither zarr.json nor .zarray")


def _form(metadata: Any, version: int) -> tuple[Shape, np.dtype[Any], list[Shape]]:
    """Return an array's shape and dtype, and the shapes of its chunks and of inner chunks."""
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
    """Describe an unsupported codec; None if all are supported."""
    if version == 2:
        codecs = [*(metadata.get("filters") or []), *([metadata["compressor"]] if metadata.get("compressor") else [])]
        unknown = [codec["id"] for codec in codecs if codec["id"] not in _CODECS_2]
    else:
        unknown = list(_unknown(metadata["codecs"], _CODECS_3))
        if metadata.get("storage_transformers"):
            unknown.append("storage_transformers")
    return (
        f"its array has the codec {unknown[0]!r}, which is not supported because it may execute code"
        if unknown
        else None
    )


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
    check_memory(of_chunk, f"its array in chunks of {' x '.join(map(str, chunks[0]))} values")
    number, smallest = (
        math.prod(-(-size // side) for size, side in zip(shape, chunk, strict=True))
        for chunk in (chunks[0], chunks[-1])
    )
    if smallest > _MOST_CHUNKS:
        raise ImageFileError(f"its array claims {smallest:,} chunks: at most {_MOST_CHUNKS:,} are supported")
    present = sum(1 for _ in files_below(folder))
    if number - present > _MOST_ABSENT:
        raise ImageFileError(f"its array claims {number:,} chunks, but has {present:,} files")
