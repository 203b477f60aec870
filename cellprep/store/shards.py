"""Files of many chunks, as Zarr's codec `sharding_indexed` has them: the chunks, and at the end where each is."""

from collections.abc import Iterator
from itertools import product
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.windows import Window, overlap
from cellprep.store.chunks import checksum, encode_chunk

Shape = tuple[int, ...]

_ABSENT = 2**64 - 1  # where a chunk would be that is wholly outside the array


def encode_shard(array: NDArray[Any], file: Shape, chunk: Shape) -> bytes:
    """Return an array as the bytes of one file.

    Parameters
    ----------
    array
        What the file holds: at the end of a larger array less than its full shape.
    file
        The full shape.
    chunk
        Shape of a chunk; what is outside the array is filled up with zeros.
    """
    return join_chunks(encode_chunks(array, file, chunk), file, chunk)


def encode_chunks(array: NDArray[Any], file: Shape, chunk: Shape) -> dict[Shape, bytes]:
    """Return the bytes of each chunk of an array by its place, as `encode_shard` takes them."""
    chunks = {}
    for place, region in _regions(file, chunk):
        block = array[region]
        if block.size:
            missing = [(0, side - size) for side, size in zip(chunk, block.shape, strict=True)]
            chunks[place] = encode_chunk(np.pad(block, missing))
    return chunks


def join_chunks(chunks: dict[Shape, bytes], file: Shape, chunk: Shape) -> bytes:
    """Return the bytes of one file from those of its chunks, by their places in it."""
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
    """Yield the chunks of a file that a window of it touches: the part of the file, and the bytes.

    Raises
    ------
    ValueError
        If the file is not as `encode_shard` made it.
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
        raise ValueError("its checksum differs")
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
