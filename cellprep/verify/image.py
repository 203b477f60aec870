"""Verifying one image: what a worker does."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError, TooLargeError
from cellprep.executor import one_opencv_thread
from cellprep.store import StoredImage
from cellprep.store.entries import Kind, kind_of
from cellprep.store.integrity import file_faults
from cellprep.store.reader import read_attributes
from cellprep.verify.fault import Fault, unreadable
from cellprep.verify.forms import array_fault, attributes_fault, missing_arrays
from cellprep.verify.huge import form_of_huge, huge_faults
from cellprep.verify.invariants import INVARIANTS
from cellprep.wording import unexpected

__all__ = ["Findings", "verify_image"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of the verification of one entry of a store's folder.

    Attributes
    ----------
    kind
        What the entry is.
    faults
        What is wrong with it; nothing if it is whole, or foreign.
    unchecked
        Why it could not be verified, if so: that says nothing of what it holds.
    attributes
        What it says of itself, if that has the right form.
    """

    kind: Kind
    faults: tuple[Fault, ...] = ()
    unchecked: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


def verify_image(place: Path, threads: int = 1) -> Findings:
    """Verify one entry of a store's folder, a huge image in so many threads. Never raises."""
    kind = Kind.IMAGE
    try:
        kind = kind_of(place)
        return _findings(place, kind, threads)
    except TooLargeError as error:
        return Findings(kind, unchecked=str(error))
    except OSError as error:
        return Findings(kind, unchecked=f"{error.filename or place}: {error.strerror}")
    except MemoryError:
        return Findings(kind, unchecked="there is not enough memory to verify it")
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are verified
        return Findings(kind, unchecked=unexpected(error))


def _findings(place: Path, kind: Kind, threads: int) -> Findings:
    if kind is not Kind.IMAGE and place.is_dir():
        _try_to_read(place)
    if kind is Kind.FOREIGN:
        return Findings(kind)
    if kind is Kind.DAMAGED:
        return Findings(kind, (Fault("zarr.json", "files", "it is missing or damaged: this is no image any more"),))
    attributes = read_attributes(place)
    if problem := attributes_fault(attributes):
        return Findings(kind, (Fault("zarr.json", "attributes", problem),))
    with one_opencv_thread():
        return Findings(kind, tuple(_faults(StoredImage(place), threads)), attributes=attributes)


def _try_to_read(folder: Path) -> None:
    """Raise the error of a folder that may not be read, and is not to be judged."""
    os.scandir(folder).close()
    with suppress(FileNotFoundError, IsADirectoryError):
        (folder / "zarr.json").open("rb").close()


def _faults(image: StoredImage, threads: int) -> list[Fault]:
    attributes = image.attributes
    missing = [Fault(name, "form", "`arrays` does not name it") for name in missing_arrays(attributes)]
    arrays, damaged = _read(image)
    shapes = {name: array.shape for name, array in arrays.items()}
    problems = {name: array_fault(name, array, attributes) for name, array in arrays.items()}
    ill_formed = [Fault(name, "form", problem) for name, problem in problems.items() if problem]
    for fault in ill_formed:
        del arrays[fault.subject]
    judged = _judge_huge(image, arrays, threads) if image.is_huge else _broken_invariants(arrays, attributes)
    for fault in judged:
        if fault.invariant == "files":
            del shapes[fault.subject]
    others = [Fault(file, "files", problem) for file, problem in file_faults(image.path, attributes, shapes)]
    return [*missing, *damaged, *others, *ill_formed, *judged]


def _read(image: StoredImage) -> tuple[dict[str, NDArray[Any]], list[Fault]]:
    """Read all arrays, of huge ones only the forms."""
    arrays: dict[str, NDArray[Any]] = {}
    damaged = []
    for name in image.attributes["arrays"]:
        try:
            arrays[name] = form_of_huge(image, name) if image.is_huge and name != "cells" else image.read(name)
        except StoreError as error:
            damaged.append(unreadable(name, error))
    return arrays, damaged


def _judge_huge(image: StoredImage, arrays: dict[str, NDArray[Any]], threads: int) -> list[Fault]:
    in_memory = {name: array for name, array in arrays.items() if name == "cells"}
    faults = _broken_invariants(in_memory, image.attributes)
    names = [name for name in arrays if name != "cells"]
    return [*faults, *huge_faults(image, names, in_memory.get("cells"), threads)]


def _broken_invariants(arrays: dict[str, NDArray[Any]], attributes: dict[str, Any]) -> list[Fault]:
    """Return the first that each array breaks; what is made from a broken array is not judged by it."""
    faults = []
    for name, invariant in INVARIANTS.items():
        if any(needed not in arrays for needed in invariant.arrays):
            continue
        with np.errstate(all="ignore"):  # wrong values may overflow
            problem = invariant.problem(arrays, attributes)
        if problem:
            faults.append(Fault(invariant.arrays[0], name, problem))
            del arrays[invariant.arrays[0]]
    return faults
