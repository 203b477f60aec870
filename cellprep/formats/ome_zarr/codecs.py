"""Decompression of Zarr chunks from untrusted sources, limited to the size of a chunk.

A chunk of a few bytes may expand to gigabytes, and Blosc trusts the size in a chunk's own header. The codecs of the
libraries have no limits; those here replace them in an array's metadata.
"""

import asyncio
import bz2
import gzip
import io
import lzma
import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from numcodecs import blosc, lz4
from numcodecs.abc import Codec
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec

_SPARE = 2**16  # bytes beyond a chunk's values: checksums, the index of a shard, overhead for incompressible data
_LZMA_MEMORY = 2**28  # largest dictionary in bytes


def bounded(metadata: Any, itemsize: int) -> Any:
    """Return the metadata of an array for zarr-python, with compressors that are limited to the size of its chunks.

    Parameters
    ----------
    metadata
        Metadata of format 2 or 3.
    itemsize
        Bytes per value.
    """
    if metadata.zarr_format == 2:
        most = _most(metadata.chunks, itemsize)
        filters = [_bounded_filter(codec, most) for codec in metadata.filters or ()]
        compressor = metadata.compressor and _bounded_filter(metadata.compressor, most)
        return replace(metadata, filters=filters or None, compressor=compressor)
    return replace(metadata, codecs=_bounded_codecs(metadata.codecs, metadata.chunk_grid.chunk_shape, itemsize))


def _bounded_filter(codec: Codec, most: int) -> Codec:
    return _BoundedFilter(codec.codec_id, most) if codec.codec_id in COMPRESSORS else codec


def _bounded_codecs(codecs: Iterable[Any], chunk: tuple[int, ...], itemsize: int) -> tuple[Any, ...]:
    found: list[Any] = []
    index = 0  # of shards, bytes
    for codec in codecs:
        name = str(codec.to_dict()["name"]).removeprefix("numcodecs.")
        if isinstance(codec, ShardingCodec):
            index += 16 * math.prod(-(-side // part) for side, part in zip(chunk, codec.chunk_shape, strict=True))
            found.append(replace(codec, codecs=_bounded_codecs(codec.codecs, codec.chunk_shape, itemsize)))
        elif name in COMPRESSORS:
            found.append(_BoundedCodec(name, _most(chunk, itemsize) + index))
        else:
            found.append(codec)
    return tuple(found)


def _most(chunk: Iterable[int], itemsize: int) -> int:
    return 2 * math.prod(chunk) * itemsize + _SPARE


class _BoundedFilter(Codec):  # type: ignore[misc]
    """A compressor of format 2."""

    codec_id = "cellprep.bounded"

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most

    def encode(self, buf: Any) -> Any:
        raise NotImplementedError("such arrays are only read")

    def decode(self, buf: Any, out: Any = None) -> Any:
        return COMPRESSORS[self._name](bytes(buf), self._most)


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A compressor of format 3."""

    name: str
    most: int
    is_fixed_size = False

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        decoded = await asyncio.to_thread(COMPRESSORS[self.name], chunk_data.to_bytes(), self.most)
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        raise NotImplementedError("such arrays are only read")


def _check(claimed: int, most: int) -> None:
    if claimed > most:
        raise ValueError(f"a chunk has {claimed:,} bytes or more: its array allows at most {most:,}")


def _blosc(data: bytes, most: int) -> bytes:
    if len(data) < 16:
        raise ValueError("a chunk is truncated")
    claimed, _, stored = (int.from_bytes(data[start : start + 4], "little") for start in (4, 8, 12))
    _check(claimed, most)
    if stored != len(data):
        raise ValueError(f"a chunk is damaged: it has {len(data):,} bytes, but its header says {stored:,}")
    return bytes(blosc.decompress(data))


def _lz4(data: bytes, most: int) -> bytes:
    _check(int.from_bytes(data[:4], "little"), most)
    return bytes(lz4.decompress(data))


def _zstd(data: bytes, most: int) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.zstd_decode(data, out=most))  # allocates no more, regardless of frame headers


def _zlib(data: bytes, most: int) -> bytes:
    return _ended(zlib.decompressobj(), data, most)


def _lzma(data: bytes, most: int) -> bytes:
    return _ended(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), data, most)


def _gzip(data: bytes, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return _whole(stream.read(most + 1), most)


def _bz2(data: bytes, most: int) -> bytes:
    with bz2.BZ2File(io.BytesIO(data)) as stream:
        return _whole(stream.read(most + 1), most)


def _ended(stream: Any, data: bytes, most: int) -> bytes:
    """Return the content of one stream, which must have an end, as its checksum is there."""
    decoded = _whole(stream.decompress(data, most + 1), most)
    if not stream.eof:
        raise ValueError("a chunk is truncated")
    if stream.unused_data:
        raise ValueError(f"a chunk has {len(stream.unused_data):,} bytes after its end")
    return decoded


def _whole(decoded: bytes, most: int) -> bytes:
    _check(len(decoded), most)
    return decoded


#: Decompressors with a size limit, by the names of both formats.
COMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "blosc": _blosc,
    "bz2": _bz2,
    "gzip": _gzip,
    "lz4": _lz4,
    "lzma": _lzma,
    "zlib": _zlib,
    "zstd": _zstd,
}
