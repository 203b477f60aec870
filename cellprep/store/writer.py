"""Writing a store so that each image is complete or absent, even if the writer is killed.

Workers write images into a folder of the run inside the store's dot-folder. The process that holds the store's lock
moves them into place by renaming, so that a worker that outlives its run changes nothing.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError, StoreWriteError
from cellprep.store.arrays import array_path, write_array
from cellprep.store.blocks import ArrayForm, Blocks, write_blocks
from cellprep.store.documents import (
    CHECKSUM,
    CONSOLIDATED,
    additions,
    group_document,
    guarded_document,
    image_documents,
    with_additions,
)
from cellprep.store.image import read_attributes
from cellprep.store.image_ids import id_problem
from cellprep.store.metadata import STORE_KEYS, ours_of
from cellprep.store.reader import SCHEMA_VERSION, Store, is_foreign
from cellprep.store.replacing import DOT_FOLDER, OUTGOING
from cellprep.system.exchange import exchange
from cellprep.system.files import read_file
from cellprep.system.flushing import flush_below, flush_file
from cellprep.system.interrupts import interrupts_deferred
from cellprep.system.places import names_in


@dataclass(frozen=True, slots=True)
class ImageContent:
    """Content of one image in a store.

    Attributes
    ----------
    arrays
        Arrays by name: ``labels``, ``cells``, every target, and ``image`` if there is one. An array that is computed
        block by block is represented by its `ArrayForm`.
    attributes
        Attributes of the image's group, under ``cellprep``; those derived from the arrays are added.
    pixel_size
        Side of a pixel in micrometres, if known.
    blocks
        Source of the values of arrays that are computed block by block.
    """

    arrays: dict[str, NDArray[Any] | ArrayForm]
    attributes: dict[str, Any]
    pixel_size: float | None
    blocks: Blocks | None = None


def write_image(folder: Path | str, content: ImageContent) -> dict[str, Any]:
    """Write one image into a new folder, whose parent must exist, and return its attributes.

    Raises
    ------
    StoreWriteError
        If the disk cannot be written to.
    """
    folder = Path(folder)
    image = content.arrays.get("image")
    with writing(folder):
        if folder.exists():
            shutil.rmtree(folder)  # left by a killed worker
        for part in ("", "labels", "labels/instances"):  # one by one, as the run may be over and its workspace removed
            (folder / part).mkdir()
        whole = {name: array for name, array in content.arrays.items() if isinstance(array, np.ndarray)}
        size = sum(write_array(folder / array_path(name), name, array) for name, array in whole.items())
        if content.blocks:
            forms = {name: form for name, form in content.arrays.items() if isinstance(form, ArrayForm)}
            size += write_blocks(folder, forms, content.blocks)
        attributes = {"complete": True, "arrays": list(content.arrays), "bytes": size, **content.attributes}
        dimensions = None if image is None else len(image.shape)
        for name, document in image_documents(folder.name, attributes, dimensions, content.pixel_size).items():
            (folder / name / "zarr.json").write_bytes(document)
    return attributes


def restore_root(store: Path) -> None:
    """Replace the lost metadata of a store by minimal ones that allow opening it; the next build completes them.

    Readable additions of other tools are kept.

    Raises
    ------
    StoreWriteError
        If the disk cannot be written to.
    """
    ours = guarded_document({"cellprep": {"schema_version": SCHEMA_VERSION}})
    with writing(store):
        (store / "zarr.json").write_bytes(with_additions(ours, _found(store), STORE_KEYS, images_change=False))


class StoreWriter:
    """The only writer of a store: a context manager that holds the store's lock.

    Parameters
    ----------
    path
        Folder of the store: not existing, empty, or a store.

    Raises
    ------
    StoreError
        If the folder has other content, or another run is writing.
    StoreWriteError
        If the folder cannot be written to.

    Attributes
    ----------
    workspace
        Folder for workers: `write_image` to ``workspace / image_id``, then `commit`.
    """

    def __init__(self, path: Path | str) -> None:
        from filelock import FileLock

        self.path = path = Path(path)
        self._dot_folder = path / DOT_FOLDER
        self._lock = FileLock(self._dot_folder / "lock", timeout=0)
        self._run = self._dot_folder / secrets.token_hex(8)
        self.workspace = self._run / "new"
        self._outgoing = self._run / OUTGOING
        self._changed = False  # whether images changed since a summary may have been written

    def __enter__(self) -> Self:
        self._refuse_foreign_folder()
        try:
            with interrupts_deferred():
                self._make_workspace()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        with interrupts_deferred():
            self._release()

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Set the store's attributes under ``cellprep``; nothing is written if they are unchanged.

        A summary is kept if everything else is unchanged.
        """
        wanted = {"schema_version": SCHEMA_VERSION, **attributes}
        summary = self._told().get("summary")
        if summary is None or not self._says({**wanted, "summary": summary}):
            self._write_attributes(wanted)

    def flush(self) -> None:
        """Wait until every image is on disk; returns at once if none changed.

        Raises
        ------
        StoreWriteError
            If the disk cannot be written to.
        """
        if self._changed:
            with writing(self.path):
                flush_below(self.path)

    def set_summary(self, summary: dict[str, Any]) -> None:
        """Set the summary of all images; it is removed at the next change to an image."""
        self._write_attributes({**self._told(), "summary": summary})
        self._changed = False

    def drop_summary(self) -> None:
        """Remove the summary of all images, so that readers never find an outdated one, even if this run is killed."""
        attributes = self._told()
        attributes.pop("summary", None)
        if attributes:
            self._write_attributes(attributes, images_change=True)

    def _told(self) -> dict[str, Any]:
        """Return the store's attributes, without those of other tools."""
        return ours_of(read_attributes(self.path), STORE_KEYS)

    def _begin_change(self) -> None:
        if not self._changed:
            self.drop_summary()
            self._changed = True

    def _write_attributes(self, attributes: dict[str, Any], *, images_change: bool = False) -> None:
        ours, found = guarded_document({"cellprep": attributes}), _found(self.path)
        if not self._says(attributes) or (images_change and CONSOLIDATED.encode() in found):
            with writing(self.path):
                self._replace_root(with_additions(ours, found, STORE_KEYS, images_change=images_change))

    def _replace_root(self, document: bytes) -> None:
        aside = self.workspace / "zarr.json"
        aside.write_bytes(document)
        flush_file(aside)
        aside.replace(self.path / "zarr.json")

    def _says(self, attributes: dict[str, Any]) -> bool:
        """Return whether the store already has these attributes, with or without a checksum, as in earlier versions."""
        found = _found(self.path)
        plain = {key: value for key, value in attributes.items() if key != CHECKSUM}
        right = guarded_document({"cellprep": attributes}), group_document({"cellprep": plain})
        # Values that an earlier build wrote for these keys.
        old = tuple(f"attributes.cellprep.{key}." for key in STORE_KEYS)
        return any(
            added is not None and not any(f"{key}.".startswith(old) for key in added)
            for added in (additions(found, ours) for ours in right)
        )

    def commit(self, image_id: str) -> bool:
        """Move a written image into place, and return whether it replaced an older one with the same id.

        Raises
        ------
        StoreError
            If an entry that cellprep did not write is in its place.
        """
        if is_foreign(self.path / image_id):
            raise StoreError(f"{self.path / image_id} was not written by cellprep and is in the way: move it")
        with writing(self.path):
            self._begin_change()
            new, place = self.workspace / image_id, self.path / image_id
            if place.exists() and exchange(new, place):  # readers find the old image or the new one
                shutil.rmtree(new)
                return True
            outgoing, replaced = self._outgoing / image_id, place.exists()
            with interrupts_deferred():
                if replaced:
                    place.rename(outgoing)  # where readers look for images that are being replaced
                try:
                    new.rename(place)
                except OSError:
                    if replaced:
                        outgoing.rename(place)
                    raise
            if replaced:
                shutil.rmtree(outgoing)
        return replaced

    def remove(self, image_id: str) -> bool:
        """Remove an image from the store, complete or damaged, and return whether there was one."""
        if id_problem(image_id) or is_foreign(self.path / image_id):
            return False
        place, outgoing = self.path / image_id, self._outgoing / image_id
        if not place.exists():
            return False
        with writing(self.path):
            self._begin_change()
            place.rename(outgoing)
            shutil.rmtree(outgoing)
        return True

    def _refuse_foreign_folder(self) -> None:
        try:
            entries = set(names_in(self.path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path} cannot hold a store: {error.strerror}") from error
        if "zarr.json" in entries:
            Store(self.path)
        elif entries - {DOT_FOLDER}:
            raise StoreError(f"{self.path} exists and is not a cellprep store: choose another --out")

    def _make_workspace(self) -> None:
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if self._dot_folder.is_symlink():  # its content would be mistaken for leftovers
            raise StoreError(f"{self._dot_folder} is a link, but cellprep needs a folder there: remove the link")
        self._acquire()
        with writing(self.path):
            self._remove_leftovers()
            self.workspace.mkdir(parents=True)
            self._outgoing.mkdir()

    def _acquire(self) -> None:
        try:
            self._dot_folder.mkdir(exist_ok=True)
            self._lock.acquire()
        except (
            TimeoutError,
            FileExistsError,
            FileNotFoundError,
        ) as error:  # the other run may be removing its dot-folder
            raise StoreError(f"another run is writing to {self.path}: wait until it ends") from error
        except OSError as error:
            raise StoreWriteError(self.path, error.strerror or str(error)) from error

    def _release(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):
                self._remove(self._run)
            shutil.rmtree(self._dot_folder, ignore_errors=True)  # while no other run can have files there
            self._lock.release()
        else:
            with suppress(OSError):
                self._dot_folder.rmdir()  # fails if another run holds the lock

    def _remove_leftovers(self) -> None:
        """Remove the leftovers of killed runs."""
        for leftover in self._dot_folder.iterdir():
            if leftover.name != "lock":
                self._remove(leftover)

    def _remove(self, run: Path) -> None:
        """Remove the folder of a run at once, even for a worker of it that is still alive."""
        gone = run.rename(self._dot_folder / f"gone-{secrets.token_hex(8)}")
        shutil.rmtree(gone, ignore_errors=True)


def _found(store: Path) -> bytes:
    """Return a store's own ``zarr.json``; empty if it cannot be read."""
    try:
        return read_file(store / "zarr.json")
    except OSError:
        return b""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise StoreWriteError if the disk cannot be written to."""
    try:
        yield
    except OSError as error:
        raise StoreWriteError(path, error.strerror or str(error)) from error
