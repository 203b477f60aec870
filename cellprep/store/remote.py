"""Writing a store into an object store, which knows neither locks nor renames.

Each worker sends the images that it built. An image's own metadata leave before anything else of it changes, and
come last: without them nobody takes it for an image, so that it is there whole or not at all, whatever ends the run.
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
    """Return the writer for a store at a place, wherever that is."""
    return ObjectStoreWriter(path) if is_remote(path) else StoreWriter(path)


def write_anywhere(place: Path, content: ImageContent) -> dict[str, Any]:
    """Write one image into a folder of its own, or into an object store, and return its attributes in the store.

    Raises
    ------
    StoreError
        If something that cellprep did not write is in its place in the object store.
    StoreWriteError
        If the disk or the object store takes no more.
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
        raise StoreError(f"{place} is in its place and is not cellprep's: move it away")
    remote: Any = place
    files = {file.relative_to(image).as_posix(): file.read_bytes() for file in image.rglob("*") if file.is_file()}
    with writing(place):
        _withdraw(place)
        for names in reversed(_in_order_of_removal(files)):
            remote.fs.pipe({f"{remote.path}/{name}": files[name] for name in names})


def _withdraw(place: Path) -> bool:
    """Take an image away, its metadata first; say whether there was anything."""
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
    """Part an image's files: what shows it, what it is, and what tells that the rest is cellprep's."""
    parts: list[list[str]] = [[], [], []]
    for name in names:
        parts[0 if name == "zarr.json" else 2 if name in SIGNS else 1].append(name)
    return parts


class ObjectStoreWriter(StoreWriter):
    """The writer of a store in an object store; nothing keeps a second one away."""

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
        """Leave the store as it is: there is nothing to clear away."""

    def flush(self) -> None:
        """Return at once: what an object store has taken, it keeps."""

    def commit(self, image_id: str) -> bool:
        """Return whether the image that a worker has sent took an older one's place."""
        return image_id in self._before

    def remove(self, image_id: str) -> bool:
        """Take an image out of the store, be it whole or damaged; say whether there was one."""
        place = self.path / image_id
        if id_problem(image_id) or is_foreign(place):
            return False
        with writing(place):
            return _withdraw(place)

    def _replace_root(self, document: bytes) -> None:
        remote: Any = self.path
        remote.fs.pipe_file(f"{remote.path}/zarr.json", document)
