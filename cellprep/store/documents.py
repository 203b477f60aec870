"""Zarr format 3 metadata, as zarr-python writes it, and the OME-Zarr 0.5 attributes of images and labels."""

import json
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Any

import google_crc32c
import numpy as np

from cellprep.core.windows import windows

CHECKSUM = "crc32c"
"""Key in a group's ``cellprep`` attribute for the checksum of its ``zarr.json``."""

CONSOLIDATED = "consolidated_metadata"
"""Key under which zarr-python stores a copy of the metadata of all members of a group."""

_DIMENSIONS: dict[str, dict[int, tuple[str, ...]]] = {
    "image": {2: ("y", "x"), 3: ("c", "y", "x")},
    "cells": {2: ("cell", "field")},
}
_TARGET_DIMENSIONS: dict[int, tuple[str, ...]] = {2: ("y", "x"), 3: ("y", "x", "c")}


def chunk_separator(name: str) -> str:
    """Return the separator in chunk keys, as in ``c/0/0`` or ``c.0.0``.

    OME-Zarr requires slashes. Elsewhere dots avoid a folder per chunk, fourteen more for each image: on some file
    systems creating them takes longer than computing the content.
    """
    return "/" if name in ("image", "labels") else "."


_CHUNK, _SHARD = 512, 4096  # sides, in pixels


def chunk_shapes(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shape of an array's files, and of the chunks in each file (None if it is a single chunk).

    An array of at most 4096 x 4096 pixels is one file with one chunk. A larger one has files of 4096 x 4096 with chunks
    of 512 x 512, so that windows can be read separately.

    Examples
    --------
    >>> chunk_shapes("energy", (5000, 3000))
    ((5000, 3000), None)
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
    """Return whether an image, of shape (H, W), is stored in files of many chunks."""
    return chunk_shapes("labels", shape)[1] is not None


def windows_of(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield windows that cover an image of shape (H, W): one, or several of limited size if it is huge."""
    return windows(shape, side=None if is_huge(shape) else max(1, *shape))


def spatial_axis(name: str, shape: tuple[int, ...]) -> int:
    """Return the index of the y axis of an array; x is the next axis."""
    return len(shape) - 2 if name == "image" else 0


@lru_cache(maxsize=1024)
def array_document(name: str, shape: tuple[int, ...], dtype: str) -> bytes:
    """Return the ``zarr.json`` of an array whose chunks are compressed with Zstandard and have a CRC-32C.

    Parameters
    ----------
    name
        Name of the array in its image's group, which determines the names of the dimensions.
    shape
        Shape of the array.
    dtype
        Name of the data type in Zarr, the same as in NumPy.
    """
    names = _DIMENSIONS.get(name, _TARGET_DIMENSIONS)[len(shape)]
    file, chunk = chunk_shapes(name, shape)
    endian: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
    codecs: list[dict[str, Any]] = [
        {"name": "bytes"} if dtype in ("uint8", "int8", "bool") else endian,
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
            "fill_value": np.dtype(dtype).type(0).item(),
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
    """Return the ``zarr.json`` of a group, in which the last key of ``cellprep`` is a CRC-32C of the rest, in hex.

    The checksum covers what cellprep writes. Other tools may add and change attributes of their own.
    """
    of_ours = {key: value for key, value in attributes["cellprep"].items() if key != CHECKSUM}
    checksum: int = google_crc32c.value(group_document({**attributes, "cellprep": of_ours}))
    return group_document({**attributes, "cellprep": {**of_ours, CHECKSUM: f"{checksum:08x}"}})


def additions(document: bytes, ours: bytes) -> list[str] | None:
    """Return the sorted keys that other tools added to a ``zarr.json``; None if content written by cellprep changed.

    Without additions all bytes must be equal. With additions the values must be, as the tool rewrote the whole file.

    Parameters
    ----------
    document
        The current file.
    ours
        The file as cellprep wrote it.

    Examples
    --------
    >>> ours = group_document({"ome": {"version": "0.5"}})
    >>> additions(group_document({"ome": {"version": "0.5", "omero": {}}, "mine": 1}), ours)
    ['attributes.mine', 'attributes.ome.omero']
    >>> additions(group_document({"ome": {"version": "0.6", "omero": {}}, "mine": 1}), ours)
    """
    if document == ours:
        return []
    added: list[str] = []
    try:
        kept = _without_additions(json.loads(document), json.loads(ours), "", added)
    except (ValueError, RecursionError):
        return None
    return sorted(added) if added and _encode(kept) == ours else None


def _without_additions(found: Any, ours: Any, place: str, added: list[str]) -> Any:
    """Return a value without the keys that `ours` lacks; append their names to `added`."""
    if isinstance(found, dict) and isinstance(ours, dict):
        added += [f"{place}{key}" for key in found if key not in ours]
        return {
            key: _without_additions(found[key], value, f"{place}{key}.", added)
            for key, value in ours.items()
            if key in found
        }
    if isinstance(found, list) and isinstance(ours, list) and len(found) == len(ours):
        return [_without_additions(one, its, place, added) for one, its in zip(found, ours, strict=True)]
    return found


def with_additions(ours: bytes, document: bytes, keys: Container[str], *, images_change: bool) -> bytes:
    """Return a new version of a group's ``zarr.json`` that keeps the additions of other tools to the old one.

    Parameters
    ----------
    ours
        The new document of cellprep.
    document
        The file to replace; nothing of it is kept if it is not valid JSON.
    keys
        Keys under ``cellprep`` that belong to cellprep and are not kept.
    images_change
        Whether the images of the store will change. If so, zarr-python's consolidated metadata are removed, as they
        would be outdated.
    """
    try:
        found, result = json.loads(document), json.loads(ours)
        attributes = found["attributes"]
        told = attributes["cellprep"] if isinstance(attributes.get("cellprep"), dict) else {}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ours
    result["attributes"]["cellprep"] |= {key: value for key, value in told.items() if key not in keys}
    result["attributes"] |= {key: value for key, value in attributes.items() if key not in result["attributes"]}
    gone = (CONSOLIDATED,) if images_change else ()
    return _encode(result | {key: value for key, value in found.items() if key not in result and key not in gone})


def image_documents(
    image_id: str,
    attributes: dict[str, Any],
    dimensions: int | None,
    pixel_size: float | None,
    *,
    guarded: bool = True,
) -> dict[str, bytes]:
    """Return the ``zarr.json`` of each group of an image, by path in the image's folder.

    Parameters
    ----------
    image_id
        Name of the image.
    attributes
        Attributes under ``cellprep``.
    dimensions
        Number of axes of ``image``; None if there is no such array.
    pixel_size
        Side of a pixel in micrometres, if known.
    guarded
        Whether the image's document has a checksum, which earlier versions did not write.
    """
    groups: dict[str, Any] = {"cellprep": attributes}
    if dimensions is not None:
        multiscale = _multiscale(image_id, "image", dimensions, pixel_size)
        groups["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    return {
        ".": (guarded_document if guarded else group_document)(groups),
        "labels": _labels_document(),
        "labels/instances": _cached_instances_document(pixel_size, dimensions is not None),
    }


def ome_documents(
    image_id: str, dimensions: int | None, pixel_size: float | None, properties: list[dict[str, Any]]
) -> dict[str, bytes]:
    """Return the ``zarr.json`` of each group of an OME-Zarr image outside a store, as `image_documents` does.

    Parameters
    ----------
    image_id, dimensions, pixel_size
        As for `image_documents`.
    properties
        Properties of labels, as in OME-Zarr's ``image-label``.
    """
    multiscales = [] if dimensions is None else [_multiscale(image_id, "image", dimensions, pixel_size)]
    ome = {"version": "0.5", **({"multiscales": multiscales} if multiscales else {})}
    return {
        ".": group_document({"ome": ome}),
        "labels": _labels_document(),
        "labels/instances": _instances_document(pixel_size, bool(multiscales), properties),
    }


@lru_cache
def _labels_document() -> bytes:
    return group_document({"ome": {"version": "0.5", "labels": ["instances"]}})


def _instances_document(
    pixel_size: float | None, of_image: bool, properties: list[dict[str, Any]] | None = None
) -> bytes:
    """Return the ``zarr.json`` of ``labels/instances``, which refers to its image if there is one."""
    source = {"source": {"image": "../../"}} if of_image else {}
    about = {"properties": properties, **source} if properties else source
    multiscale = _multiscale("instances", "0", 2, pixel_size)
    return group_document({"ome": {"version": "0.5", "multiscales": [multiscale], "image-label": about}})


#: The same, without properties. It is cached by value, and 1 and 1.0 are written differently.
_cached_instances_document = lru_cache(typed=True)(_instances_document)


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
