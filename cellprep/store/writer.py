"""Writing a store so that each image is in it whole or not at all, whatever ends the writer.

Workers write images into a folder of the run, inside the store's dot-folder. Only the process that holds the
store's lock moves them into place, by one rename each, so that a worker which outlives its run changes nothing.
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
    """The content of one image in a store.

    Attributes
    ----------
    arrays
        By name: ``labels``, ``cells``, every target, and ``image`` if there is one. Of those that come block by block
        the form.
    attributes
        Of the image's group, under ``cellprep``; what follows from the arrays is added to them.
    pixel_size
        Side of a pixel in micrometres, if known.
    blocks
        Where the values of arrays come from of which there is but the form.
    """

    arrays: dict[str, NDArray[Any] | ArrayForm]
    attributes: dict[str, Any]
    pixel_size: float | None
    blocks: Blocks | None = None


def write_image(folder: Path | str, content: ImageContent) -> dict[str, Any]:
    """Write one image into a folder of its own, whose parent must exist, and return its attributes in the store.

    Raises
    ------
    StoreWriteError
        If the disk takes no more.
    """
    folder = Path(folder)
    image = content.arrays.get("image")
    with writing(folder):
        if folder.exists():
            shutil.rmtree(folder)  # left by a worker that was killed
        for part in ("", "labels", "labels/instances"):  # one by one: the run may be over, and its workspace gone
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
    """Replace a store's own metadata, which are lost, by such as let it be opened; the next build completes them.

    What other tools added is kept, as far as it can be read.

    Raises
    ------
    StoreWriteError
        If the disk takes no more.
    """
    ours = guarded_document({"cellprep": {"schema_version": SCHEMA_VERSION}})
    with writing(store):
        (store / "zarr.json").write_bytes(with_additions(ours, _found(store), STORE_KEYS, images_change=False))


class StoreWriter:
    """The one writer of a store; a context that holds the store's lock.

    Parameters
    ----------
    path
        Where the store is or is to be: no folder, an empty one, or a store.

    Raises
    ------
    StoreError
        If something else is there, or another run is writing.
    StoreWriteError
        If the folder cannot be written to.

    Attributes
    ----------
    workspace
        Where workers write: `write_image` to ``workspace / image_id``, then `commit`.
    """

    def __init__(self, path: Path | str) -> None:
        from filelock import FileLock

        self.path = path = Path(path)
        self._dot_folder = path / DOT_FOLDER
        self._lock = FileLock(self._dot_folder / "lock", timeout=0)
        self._run = self._dot_folder / secrets.token_hex(8)
        self.workspace = self._run / "new"
        self._outgoing = self._run / OUTGOING
        self._changed = False  # since there may have been a summary

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
        """Set what the store says of itself, under ``cellprep``; nothing is written if it says so already.

        A summary stays where all else is as it was.
        """
        wanted = {"schema_version": SCHEMA_VERSION, **attributes}
        summary = self._told().get("summary")
        if summary is None or not self._says({**wanted, "summary": summary}):
            self._write_attributes(wanted)

    def flush(self) -> None:
        """Return when every image is on the disk; at once if none changed.

        Raises
        ------
        StoreWriteError
            If the disk does not take it.
        """
        if self._changed:
            with writing(self.path):
                flush_below(self.path)

    def set_summary(self, summary: dict[str, Any]) -> None:
        """Set what the store says of all its images; the next change to any of them takes it away first."""
        self._write_attributes({**self._told(), "summary": summary})
        self._changed = False

    def drop_summary(self) -> None:
        """Take away what is said of all images, so that what a reader finds is true, whatever ends this run."""
        attributes = self._told()
        attributes.pop("summary", None)
        if attributes:
            self._write_attributes(attributes, images_change=True)

    def _told(self) -> dict[str, Any]:
        """Return what the store says of itself, without what others added."""
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
        """Return whether the store says so already, be it without a checksum, which earlier versions did not write."""
        found = _found(self.path)
        plain = {key: value for key, value in attributes.items() if key != CHECKSUM}
        right = guarded_document({"cellprep": attributes}), group_document({"cellprep": plain})
        old = tuple(f"attributes.cellprep.{key}." for key in STORE_KEYS)  # what an earlier build said of any of these
        return any(
            added is not None and not any(f"{key}.".startswith(old) for key in added)
            for added in (additions(found, ours) for ours in right)
        )

    def commit(self, image_id: str) -> bool:
        """Move a written image into its place; say whether an older one of this id left for it.

        Raises
        ------
        StoreError
            If something that cellprep did not write is in its place.
        """
        if is_foreign(self.path / image_id):
            raise StoreError(f"{self.path / image_id} is in its place and is not cellprep's: move it away")
        with writing(self.path):
            self._begin_change()
            new, place = self.workspace / image_id, self.path / image_id
            if place.exists() and exchange(new, place):  # readers find the old image or the new one
                shutil.rmtree(new)
                return True
            outgoing, replaced = self._outgoing / image_id, place.exists()
            with interrupts_deferred():
                if replaced:
                    place.rename(outgoing)  # where readers see that another one will come
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
        """Take an image out of the store, be it whole or damaged; say whether there was one."""
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
            raise StoreError(f"{self.path} exists and is no cellprep store: it is left alone; choose another --out")

    def _make_workspace(self) -> None:
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if self._dot_folder.is_symlink():  # what lies there would be taken for leftovers
            raise StoreError(f"{self._dot_folder} is a link: cellprep makes a folder there; remove it")
        self._acquire()
        with writing(self.path):
            self._remove_leftovers()
            self.workspace.mkdir(parents=True)
            self._outgoing.mkdir()

    def _acquire(self) -> None:
        try:
            self._dot_folder.mkdir(exist_ok=True)
            self._lock.acquire()
        except (TimeoutError, FileExistsError, FileNotFoundError) as error:  # it may be taking its dot-folder away
            raise StoreError(f"another run is writing to {self.path}: wait until it ends") from error
        except OSError as error:
            raise StoreWriteError(self.path, error.strerror or str(error)) from error

    def _release(self) -> None:
        if self._lock.is_locked:
            with suppress(OSError):
                self._remove(self._run)
            shutil.rmtree(self._dot_folder, ignore_errors=True)  # while no other run can have files in it
            self._lock.release()
        else:
            with suppress(OSError):
                self._dot_folder.rmdir()  # it is empty unless another run holds the lock

    def _remove_leftovers(self) -> None:
        """Remove what killed runs left."""
        for leftover in self._dot_folder.iterdir():
            if leftover.name != "lock":
                self._remove(leftover)

    def _remove(self, run: Path) -> None:
        """Remove the folder of a run; a worker of it that still lives finds it gone at once."""
        gone = run.rename(self._dot_folder / f"gone-{secrets.token_hex(8)}")
        shutil.rmtree(gone, ignore_errors=True)


def _found(store: Path) -> bytes:
    """Return a store's own ``zarr.json``; nothing if it cannot be read."""
    try:
        return read_file(store / "zarr.json")
    except OSError:
        return b""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise StoreWriteError for what the disk does not take."""
    try:
        yield
    except OSError as error:
        raise StoreWriteError(path, error.strerror or str(error)) from error
