"""Writing a store to an object store, which has neither locks nor renames.

Each worker uploads the images that it built. An image's metadata are deleted first and uploaded last. Without them it
is not recognised as an image, so that it is complete or absent even if the run is interrupted.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from cellprep.errors import StoreError
from cellprep.store.image import read_attributes
from cellprep.store.image_ids import id_problem
from cellprep.store.reader import SIGNS, Store, is_foreign
from cellprep.store.writer import ImageContent, StoreWriter, write_image, writing
from cellprep.system.places import is_remote


def store_writer(path: Path) -> StoreWriter:
    """Return the writer for a store at a local path or a URL."""
    return ObjectStoreWriter(path) if is_remote(path) else StoreWriter(path)


def write_anywhere(place: Path, content: ImageContent) -> dict[str, Any]:
    """Write one image to a local folder or an object store, and return its attributes.

    Raises
    ------
    StoreError
        If the object store has other data, not written by cellprep, under the image's name.
    StoreWriteError
        If the disk or the object store cannot be written to.
    """
    if not is_remote(place):
        return write_image(place, content)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, place.name)
        attributes = write_image(image, content)
        _publish(image, place)
    return attributes


def _publish(image: Path, place: Path) -> None:
    if is_foreign(place):
        raise StoreError(f"{place} was not written by cellprep and is in the way: move it")
    remote: Any = place
    files = {file.relative_to(image).as_posix(): file.read_bytes() for file in image.rglob("*") if file.is_file()}
    with writing(place):
        _withdraw(place)
        for names in reversed(_in_order_of_removal(files)):
            remote.fs.pipe({f"{remote.path}/{name}": files[name] for name in names})


def _withdraw(place: Path) -> bool:
    """Delete an image, its metadata first, and return whether there was anything."""
    remote: Any = place
    try:
        paths = remote.fs.find(remote.path)
    except FileNotFoundError:
        return False
    for names in _in_order_of_removal(path.removeprefix(f"{remote.path}/") for path in paths):
        if names:
            remote.fs.rm([f"{remote.path}/{name}" for name in names])
    return bool(paths)


def _in_order_of_removal(names: Iterable[str]) -> list[list[str]]:
    """Group an image's files by order of deletion: its metadata, its content, the files that mark it as cellprep's."""
    parts: list[list[str]] = [[], [], []]
    for name in names:
        parts[0 if name == "zarr.json" else 2 if name in SIGNS else 1].append(name)
    return parts


class ObjectStoreWriter(StoreWriter):
    """Writer of a store in an object store. It does not prevent a second writer."""

    def __init__(self, path: Path) -> None:
        self.path = self.workspace = path
        self._changed = True
        self._before: set[str] = set()

    def __enter__(self) -> Self:
        self._refuse_foreign_folder()
        if read_attributes(self.path):
            self._before = set(Store(self.path))
            self.drop_summary()
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing, as there is nothing to clean up."""

    def flush(self) -> None:
        """Do nothing, as object stores keep what they accept."""

    def commit(self, image_id: str) -> bool:
        """Return whether the image that a worker uploaded replaced an older one."""
        return image_id in self._before

    def remove(self, image_id: str) -> bool:
        """Remove an image from the store, complete or damaged, and return whether there was one."""
        place = self.path / image_id
        if id_problem(image_id) or is_foreign(place):
            return False
        with writing(place):
            return _withdraw(place)

    def _replace_root(self, document: bytes) -> None:
        remote: Any = self.path
        remote.fs.pipe_file(f"{remote.path}/zarr.json", document)
