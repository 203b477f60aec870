"""Metadata of Zarr: those of arrays from other programs, and those of stores."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ShardingCodec, ZstdCodec

from cellprep import check_source, describe_store, open_source, open_store
from cellprep.commands.check import CheckOptions
from cellprep.commands.verify import verify_store
from cellprep.errors import CellprepError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.ome_zarr.multiscale import describe_zarr
from cellprep.store.documents import CHECKSUM, guarded_document

__all__ = ["damaged_file", "files_of", "foreign_arrays", "guard_anew", "read_all_of_store", "read_foreign"]

_AXES = [{"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space", "unit": "micrometer"}]
_DATASETS = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}]
_MULTISCALES = [{"version": "0.4", "name": "cells", "axes": _AXES, "datasets": _DATASETS}]


def foreign_arrays(folder: Path) -> list[bytes]:
    """Write OME-Zarr images with one label image each, of both formats and many codecs; return their files."""
    labels = np.kron(np.arange(6).reshape(2, 3), np.ones((8, 8), int))
    inner = ShardingCodec(chunk_shape=(4, 4), codecs=[BytesCodec(), ZstdCodec()])
    kinds: list[dict[str, Any]] = [
        {"zarr_format": 3, "dtype": "int32", "chunks": (8, 8)},
        {"zarr_format": 3, "dtype": "uint16", "chunks": (8, 8), "compressors": [GzipCodec()], "fill_value": 3},
        {"zarr_format": 3, "dtype": "float32", "chunks": (16, 24), "compressors": [BloscCodec()]},
        {"zarr_format": 3, "dtype": "uint8", "chunks": (4, 4), "shards": (8, 8)},
        {"zarr_format": 3, "dtype": "int64", "chunks": (16, 24), "serializer": inner, "compressors": None},
        {"zarr_format": 2, "dtype": "<i4", "chunks": (8, 8), "order": "F"},
        {"zarr_format": 2, "dtype": ">u2", "chunks": (8, 24), "compressors": _codec("blosc")},
        {"zarr_format": 2, "dtype": "|u1", "chunks": (16, 24), "compressors": None, "filters": [_codec("delta")]},
        {"zarr_format": 2, "dtype": "<f8", "chunks": (8, 8), "compressors": _codec("lz4"), "fill_value": float("nan")},
    ]
    for number, kind in enumerate(kinds):
        _write(folder / "arrays" / f"a{number}.zarr", labels.astype(kind.pop("dtype")), kind)
    return files_of(folder / "arrays")


def _codec(name: str) -> Any:
    import numcodecs

    return numcodecs.Delta(dtype="|u1") if name == "delta" else numcodecs.get_codec({"id": name})


def _write(image: Path, labels: np.ndarray, kind: dict[str, Any]) -> None:
    version = kind["zarr_format"]
    ome = {"version": "0.5", "multiscales": _MULTISCALES}
    groups: dict[Path, dict[str, Any]] = {
        image: ome,
        image / "labels": {"version": "0.5", "labels": ["cells"]},
        image / "labels" / "cells": ome,
    }
    for path, said in groups.items():
        zarr.open_group(path, mode="w", zarr_format=version).attrs.update(said if version == 2 else {"ome": said})
    for path in (image, image / "labels" / "cells"):
        zarr.create_array(path, name="0", data=labels, **kind)


def read_foreign(path: Path) -> object:
    """Read an OME-Zarr image as `build-targets` and `predict` do."""
    describe_zarr(path / "0")
    records = [record for record in open_source(path, "ome-zarr").images() if not isinstance(record, FaultyImage)]
    for record in records:
        record.load((16, 25))
        if record.pixels:
            record.pixels.decode()
    return records


def read_all_of_store(store: Path) -> object:
    """Read a store as every command does first."""
    _foreseen(verify_store(store, jobs=1, quiet=True).errors())
    told = describe_store(store, quiet=True)
    _foreseen([*told.lines(), *told.notes()])
    json.dumps(told.to_dict())
    for image in open_store(store).values():
        for read in (lambda image=image: (image.shape, image.arrays), lambda image=image: image.read("labels")):
            with suppress(CellprepError):
                read()
    source = open_source(store)
    report = check_source(source, CheckOptions(jobs=1, quiet=True))
    _foreseen([*report.table(), *(finding.note for finding in report.findings)])
    return source


def _foreseen(lines: list[str]) -> None:
    for line in lines:
        if "please report this" in line or "\n" in line:
            raise AssertionError(f"unexpected: {line}")


def guard_anew(content: bytes, rng: Any) -> bytes:
    """Correct the checksum of a group's metadata, in half of all cases, as an attacker could."""
    path, _, text = content.partition(b"\0")
    try:
        attributes = json.loads(text)["attributes"]
        if CHECKSUM in attributes["cellprep"] and rng.random() < 0.5:
            return path + b"\0" + guarded_document(attributes)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return content


def files_of(folder: Path) -> list[bytes]:
    """Return each file of a folder: its path, a zero byte and its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() for path in files]


def damaged_file(name: str, read: Callable[[Path], object], depth: int = 0) -> Callable[[bytes, Path], object]:
    """Return a function that writes a damaged file to a folder, and reads this folder, or a folder at a depth in it."""

    def feed(content: bytes, folder: Path) -> object:
        place, _, damaged = content.partition(b"\0")
        whole = folder / name
        target = next((path for path in whole.rglob("*") if str(path.relative_to(whole)).encode() == place), None)
        if target is None or not target.is_file():
            return None  # the damage is in the name
        before = target.read_bytes()
        try:
            target.write_bytes(damaged)
            return read(whole.joinpath(*target.relative_to(whole).parts[:depth]))
        finally:
            target.write_bytes(before)

    return feed
