"""Verification of one image in a worker."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cellprep.commands.verify.arrays import array_faults
from cellprep.commands.verify.fault import Fault, unreadable
from cellprep.commands.verify.forms import attributes_fault, form_fault, missing_arrays
from cellprep.errors import StoreError
from cellprep.store import StoredImage
from cellprep.store.entries import Kind, kind_of
from cellprep.store.integrity import added_attributes, file_faults
from cellprep.store.metadata import ImageMetadata
from cellprep.store.replacing import identity, patiently
from cellprep.system.executor import one_opencv_thread
from cellprep.system.files import open_file


@dataclass(frozen=True, slots=True)
class Findings:
    """The outcome of verifying one entry of a store's folder.

    Attributes
    ----------
    kind
        The kind of the entry.
    faults
        What is wrong with it; empty if it is intact or foreign.
    unchecked
        Why it could not be verified; this says nothing about its content.
    metadata
        Its metadata, if valid.
    added
        Additions of other Zarr tools to its metadata: the file and the key of each.
    """

    kind: Kind
    faults: tuple[Fault, ...] = ()
    unchecked: str = ""
    metadata: ImageMetadata | None = None
    added: tuple[str, ...] = ()


def verify_image(place: Path, threads: int = 1) -> Findings:
    """Verify one entry of a store's folder; a huge image is verified in several threads."""
    kind = Kind.IMAGE

    def look() -> Findings:
        nonlocal kind
        kind, before = kind_of(place), identity(place)
        found = _findings(place, kind, threads)
        if identity(place) != before:  # the files read may be of two versions of the image
            raise StoreError(f"{place} was replaced while it was verified")
        return found

    try:
        return patiently(place, look)
    except OSError as error:
        return Findings(kind, unchecked=f"{error.filename or place}: {error.strerror}")
    except MemoryError:
        return Findings(kind, unchecked="there is not enough memory to verify it")


def _findings(place: Path, kind: Kind, threads: int) -> Findings:
    if kind is not Kind.IMAGE and place.is_dir():
        _try_to_read(place)
    if kind is Kind.FOREIGN:
        return Findings(kind)
    if kind is Kind.DAMAGED:
        return Findings(
            kind, (Fault("zarr.json", "files", "it is missing or damaged, so that this is no longer an image"),)
        )
    image = StoredImage(place)
    if problem := attributes_fault(image.attributes):
        return Findings(kind, (Fault("zarr.json", "attributes", problem),))
    try:
        _ = image.shape
    except StoreError as error:
        return Findings(kind, (unreadable("labels", error),), metadata=image.metadata)
    with one_opencv_thread():
        faults, added = _faults(image, threads)
    return Findings(kind, tuple(faults), metadata=image.metadata, added=tuple(added))


def _try_to_read(folder: Path) -> None:
    """Raise an error if permission to read a folder is denied, as it cannot be verified."""
    os.scandir(folder).close()
    with suppress(FileNotFoundError, IsADirectoryError):
        open_file(folder / "zarr.json").close()


def _faults(image: StoredImage, threads: int) -> tuple[list[Fault], list[str]]:
    """Return what is wrong with an image, and what other tools added to its metadata."""
    metadata = image.metadata
    missing = [Fault(name, "form", "`arrays` does not name it") for name in missing_arrays(metadata)]
    shapes: dict[str, tuple[int, ...]] = {}
    sound: list[str] = []
    damaged, ill_formed = [], []
    for name in metadata.arrays:
        try:
            shapes[name], dtype = image.form(name)
        except StoreError as error:
            damaged.append(unreadable(name, error))
            continue
        if problem := form_fault(name, shapes[name], dtype, metadata):
            ill_formed.append(Fault(name, "form", problem))
        else:
            sound.append(name)
    judged = list(array_faults(image, sound, threads))
    for fault in judged:
        if fault.invariant == "files":
            del shapes[fault.subject]
    others = [Fault(file, "files", problem) for file, problem in file_faults(image, shapes)]
    return [*missing, *damaged, *others, *ill_formed, *judged], list(added_attributes(image, shapes))
