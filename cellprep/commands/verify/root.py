"""Checks of the metadata of a store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cellprep.store.documents import CHECKSUM, additions, group_document, guarded_document
from cellprep.store.image import read_attributes
from cellprep.store.metadata import STORE_KEYS, StoreMetadata, StoreSummary, ours_of
from cellprep.system.files import read_file


def root_faults(store: Path, counted: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a store's own metadata.

    Parameters
    ----------
    store
        The store's folder.
    counted
        The counts that a summary of its images should have, as far as known.
    """
    attributes = read_attributes(store)
    told = StoreMetadata.of(attributes)
    if _added(store, attributes) is None:
        yield "its zarr.json was changed since cellprep wrote it"
    unknown = sorted(attributes.keys() - STORE_KEYS)
    if unknown and CHECKSUM not in attributes:  # the unknown key may be a damaged checksum
        yield f"its zarr.json has the key {unknown[0]!r}, which cellprep does not write"
    for key in ("version", "recipe", "source"):
        if getattr(told, key) is None:
            yield f"its zarr.json has no {key}: run cellprep build-targets to write it"
    if "summary" in attributes:
        yield from _summary_faults(told.summary, counted)


def added_to_root(store: Path) -> list[str]:
    """Return the additions of other Zarr tools to a store's own metadata: the file and the key of each."""
    return [f"zarr.json: {key}" for key in _added(store, read_attributes(store)) or []]


def _added(store: Path, attributes: dict[str, Any]) -> list[str] | None:
    write = guarded_document if CHECKSUM in attributes else group_document
    return additions(read_file(store / "zarr.json"), write({"cellprep": ours_of(attributes, STORE_KEYS)}))


def _summary_faults(summary: StoreSummary | None, counted: dict[str, Any]) -> Iterator[str]:
    if summary is None:
        yield "its summary is damaged"
    elif summary.source_images_stored > min(summary.source_images, summary.images):
        yield "its summary counts more images of the source than there are images"
    else:
        told = msgspec.to_builtins(summary)
        for name, value in counted.items():
            if told[name] != value:
                yield f"its summary is wrong: `{name}` is {told[name]}, but the images have {value}"
