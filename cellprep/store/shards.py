"""Files of many chunks, as in Zarr's `sharding_indexed` codec: the chunks, then an index of their positions."""

from collections.abc import Iterator
from itertools import product
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.windows import Window, overlap
from cellprep.store.chunks import checksum, encode_chunk

Shape = tuple[int, ...]

_ABSENT = 2**64 - 1  # offset and size of a chunk that is entirely outside the array


def encode_shard(array: NDArray[Any], file: Shape, chunk: Shape) -> bytes:
    """Encode an array as one file.

    Parameters
    ----------
    array
        Content of the file. It may be smaller than the full shape at the end of a larger array.
    file
        Full shape of the file's content.
    chunk
        Shape of a chunk; chunks are padded with zeros beyond the array.
    """
    return join_chunks(encode_chunks(array, file, chunk), file, chunk)


def encode_chunks(array: NDArray[Any], file: Shape, chunk: Shape) -> dict[Shape, bytes]:
    """Encode each chunk of an array; returns the bytes by chunk position. Parameters are those of `encode_shard`."""
    chunks = {}
    for place, region in _regions(file, chunk):
        block = array[region]
        if block.size:
            missing = [(0, side - size) for side, size in zip(chunk, block.shape, strict=True)]
            chunks[place] = encode_chunk(np.pad(block, missing))
    return chunks


def join_chunks(chunks: dict[Shape, bytes], file: Shape, chunk: Shape) -> bytes:
    """Join chunks, by their positions, to the bytes of one file."""
    index = np.full((*_counts(file, chunk), 2), _ABSENT, "<u8")
    parts = []
    offset = 0
    for place, content in sorted(chunks.items()):
        parts.append(content)
        index[place] = offset, len(content)
        offset += len(content)
    where = index.tobytes()
    return b"".join([*parts, where, checksum(where)])


def read_chunks(content: IO[bytes], file: Shape, chunk: Shape, window: Window) -> Iterator[tuple[Window, bytes]]:
    """Yield the chunks of a file that intersect a window: the part of the file, and the bytes.

    Raises
    ------
    ValueError
        If the file was not written by `encode_shard`.
    OSError
        If it cannot be read.
    """
    index = np.empty((*_counts(file, chunk), 2), "<u8")
    end = content.seek(0, 2) - index.nbytes - len(checksum(b""))
    if end < 0:
        raise ValueError("it is too short")
    content.seek(end)
    where, told = content.read(index.nbytes), content.read()
    if checksum(where) != told:
        raise ValueError("its checksum does not match")
    index[...] = np.frombuffer(where, "<u8").reshape(index.shape)
    for place, region in _regions(file, chunk):
        if not overlap(region, window):
            continue
        offset, size = map(int, index[place])
        if offset + size > end:
            raise ValueError("a chunk is missing")
        content.seek(offset)
        yield region, content.read(size)


def _counts(file: Shape, chunk: Shape) -> Shape:
    return tuple(size // side for size, side in zip(file, chunk, strict=True))


def _regions(file: Shape, chunk: Shape) -> Iterator[tuple[Shape, Window]]:
    for place in product(*map(range, _counts(file, chunk))):
        yield place, tuple(slice(k * side, (k + 1) * side) for k, side in zip(place, chunk, strict=True))
