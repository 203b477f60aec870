"""Zarr format 3 metadata, as zarr-python writes it, and the OME-Zarr 0.5 attributes of images and labels."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import google_crc32c

from cellprep.core.windows import windows

CHECKSUM = "crc32c"
"""The key under which a group's ``cellprep`` has the checksum of its ``zarr.json``."""

_DIMENSIONS: dict[str, dict[int, tuple[str, ...]]] = {
    "image": {2: ("y", "x"), 3: ("c", "y", "x")},
    "cells": {2: ("cell", "field")},
}
_TARGET_DIMENSIONS: dict[int, tuple[str, ...]] = {2: ("y", "x"), 3: ("y", "x", "c")}


def chunk_separator(name: str) -> str:
    """Return what parts the words of a chunk's key, ``c/0/0`` or ``c.0.0``.

    OME-Zarr wants slashes. Elsewhere dots keep each chunk out of folders of its own, of which an image would need
    fourteen more: on some file systems making them takes longer than computing what is in them.
    """
    return "/" if name in ("image", "labels") else "."


_CHUNK, _SHARD = 512, 4096  # sides, in pixels


def chunk_shapes(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shape of an array's files, and of the chunks in each: None if it is one chunk.

    An image of at most 4096 x 4096 pixels is one file and one chunk. A larger one has files of 4096 x 4096 with chunks
    of 512 x 512, so that a window of it can be read alone.

    Examples
    --------
    >>> chunk_shapes("energy", (520, 704))
    ((520, 704), None)
    >>> chunk_shapes("image", (3, 30000, 30000))
    ((3, 4096, 4096), (3, 512, 512))
    """
    down = spatial_axis(name, shape)
    if name == "cells" or shape[down] * shape[down + 1] <= _SHARD**2:
        return tuple(max(1, size) for size in shape), None
    file, chunk = list(shape), list(shape)
    file[down : down + 2], chunk[down : down + 2] = [_SHARD] * 2, [_CHUNK] * 2
    return tuple(file), tuple(chunk)


def is_huge(shape: tuple[int, ...]) -> bool:
    """Return whether an image's arrays lie in files of many chunks: `shape` is (H, W)."""
    return chunk_shapes("labels", shape)[1] is not None


def windows_of(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield windows that cover an image, (H, W), and take little memory each: one, unless it is huge."""
    return windows(shape, side=None if is_huge(shape) else max(1, *shape))


def spatial_axis(name: str, shape: tuple[int, ...]) -> int:
    """Return which axis of an array y is; x is the next one."""
    return len(shape) - 2 if name == "image" else 0


@lru_cache(maxsize=1024)
def array_document(name: str, shape: tuple[int, ...], dtype: str) -> bytes:
    """Return the ``zarr.json`` of an array, whose chunks are compressed with Zstandard and guarded by a CRC-32C each.

    Parameters
    ----------
    name
        Name of the array in its image's group: it decides the names of the dimensions.
    shape
        Shape of the array.
    dtype
        The data type's name in Zarr, which is NumPy's.
    """
    names = _DIMENSIONS.get(name, _TARGET_DIMENSIONS)[len(shape)]
    file, chunk = chunk_shapes(name, shape)
    endian: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
    codecs: list[dict[str, Any]] = [
        {"name": "bytes"} if dtype in ("uint8", "int8") else endian,
        {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
        {"name": "crc32c"},
    ]
    if chunk:
        index_codecs = [endian, {"name": "crc32c"}]
        parts = {"chunk_shape": list(chunk), "codecs": codecs, "index_codecs": index_codecs, "index_location": "end"}
        codecs = [{"name": "sharding_indexed", "configuration": parts}]
    return _encode(
        {
            "shape": list(shape),
            "data_type": dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(file)},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": chunk_separator(name)}},
            "fill_value": 0.0 if dtype.startswith("float") else 0,
            "codecs": codecs,
            "attributes": {},
            "dimension_names": list(names),
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }
    )


def group_document(attributes: dict[str, Any]) -> bytes:
    """Return the ``zarr.json`` of a group."""
    return _encode({"attributes": attributes, "zarr_format": 3, "node_type": "group"})


def guarded_document(attributes: dict[str, Any]) -> bytes:
    """Return the ``zarr.json`` of a group whose ``cellprep`` has a CRC-32C of all the rest, in hex, as its last key."""
    of_ours = {key: value for key, value in attributes["cellprep"].items() if key != CHECKSUM}
    checksum: int = google_crc32c.value(group_document({**attributes, "cellprep": of_ours}))
    return group_document({**attributes, "cellprep": {**of_ours, CHECKSUM: f"{checksum:08x}"}})


def image_documents(
    image_id: str,
    attributes: dict[str, Any],
    dimensions: int | None,
    pixel_size: float | None,
    *,
    guarded: bool = True,
) -> dict[str, bytes]:
    """Return the ``zarr.json`` of each group of an image, by its path in the image's folder.

    Parameters
    ----------
    image_id
        The image's name.
    attributes
        What cellprep says of it.
    dimensions
        Number of axes of ``image``; None if there is no such array.
    pixel_size
        Side of a pixel in micrometres, if known.
    guarded
        Whether the image's own has a checksum, which earlier versions did not write.
    """
    groups: dict[str, Any] = {"cellprep": attributes}
    if dimensions is not None:
        multiscale = _multiscale(image_id, "image", dimensions, pixel_size)
        groups["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    return {
        ".": (guarded_document if guarded else group_document)(groups),
        "labels": _labels_document(),
        "labels/instances": _instances_document(pixel_size, of_image=dimensions is not None),
    }


@lru_cache
def _labels_document() -> bytes:
    return group_document({"ome": {"version": "0.5", "labels": ["instances"]}})


@lru_cache(typed=True)  # 1 and 1.0 are written differently
def _instances_document(pixel_size: float | None, *, of_image: bool) -> bytes:
    """Return the ``zarr.json`` of ``labels/instances``, which names its image if there is one."""
    source = {"source": {"image": "../../"}} if of_image else {}
    multiscale = _multiscale("instances", "0", 2, pixel_size)
    return group_document({"ome": {"version": "0.5", "multiscales": [multiscale], "image-label": source}})


def _multiscale(name: str, path: str, dimensions: int, pixel_size: float | None) -> dict[str, Any]:
    unit = {} if pixel_size is None else {"unit": "micrometer"}
    axes: list[dict[str, str]] = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    scale = [pixel_size or 1.0] * 2
    if dimensions == 3:
        axes.insert(0, {"name": "c", "type": "channel"})
        scale.insert(0, 1.0)
    transformation = {"type": "scale", "scale": scale}
    return {
        "name": name,
        "axes": axes,
        "datasets": [{"path": path, "coordinateTransformations": [transformation]}],
    }


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
