"""Entries of a store's folder: images, damaged images and foreign files."""

import os
from collections.abc import Container
from enum import StrEnum
from pathlib import Path

from cellprep.store.image import read_attributes
from cellprep.store.image_ids import id_problem
from cellprep.store.reader import is_foreign
from cellprep.store.replacing import DOT_FOLDER, all_names
from cellprep.system.places import is_remote, names_in


class Kind(StrEnum):
    """Kinds of entries in a store's folder."""

    IMAGE = "image"
    DAMAGED = "damaged"
    FOREIGN = "foreign"


def entry_names(store: Path) -> list[str]:
    """Return the sorted names of the entries of a store's folder, without the store's own files."""
    there = set(names_in(store))
    away = all_names(store) - there
    # Images moved away by a killed run do not come back.
    back = (name for name in away if read_attributes(store / name))
    return sorted({*there, *back} - {"zarr.json", DOT_FOLDER})


def count_folders(store: Path) -> int:
    """Return the number of folders that may be images, judged by name only."""
    if is_remote(store):
        return sum(1 for name in names_in(store) if not name.startswith((".", "__")) and name != "zarr.json")
    with os.scandir(store) as entries:
        return sum(1 for entry in entries if not entry.name.startswith((".", "__")) and entry.is_dir())


def kind_of(place: Path) -> Kind:
    """Return the kind of an entry: an image, a damaged image (its metadata are lost), or foreign."""
    if id_problem(place.name):
        return Kind.FOREIGN
    if read_attributes(place).get("complete"):
        return Kind.IMAGE
    return Kind.FOREIGN if is_foreign(place) else Kind.DAMAGED


def damaged_images(store: Path, images: Container[str]) -> dict[str, str]:
    """Return the problem of each damaged image. Readers of a store would skip these images silently.

    Parameters
    ----------
    store
        The store's folder.
    images
        Images that readers see; they are not checked.
    """
    problem = "its zarr.json is missing or damaged: remove it with cellprep verify --repair, then build it again"
    names = (name for name in entry_names(store) if name not in images)
    return {name: problem for name in names if kind_of(store / name) is Kind.DAMAGED}


def has_leftovers(store: Path) -> bool:
    """Return whether a run is writing to a store, or was killed and left its folder behind."""
    return (store / DOT_FOLDER).exists()
