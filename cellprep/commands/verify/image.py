"""Verifying one image: what a worker does."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.verify.fault import Fault, unreadable
from cellprep.commands.verify.forms import attributes_fault, form_fault, missing_arrays
from cellprep.commands.verify.huge import huge_faults
from cellprep.commands.verify.invariants import INVARIANTS
from cellprep.errors import CellprepError, StoreError
from cellprep.store import StoredImage
from cellprep.store.entries import Kind, kind_of
from cellprep.store.integrity import file_faults
from cellprep.system.executor import one_opencv_thread
from cellprep.system.files import open_file
from cellprep.text.wording import unexpected

Form = tuple[tuple[int, ...], np.dtype[Any]]


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
    except CellprepError as error:  # a run has replaced it meanwhile, or memory does not suffice
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
    image = StoredImage(place)
    if problem := attributes_fault(image.attributes):
        return Findings(kind, (Fault("zarr.json", "attributes", problem),))
    try:
        _ = image.shape
    except StoreError as error:
        return Findings(kind, (unreadable("labels", error),), attributes=image.attributes)
    with one_opencv_thread():
        return Findings(kind, tuple(_faults(image, threads)), attributes=image.attributes)


def _try_to_read(folder: Path) -> None:
    """Raise the error of a folder that may not be read, and is not to be judged."""
    os.scandir(folder).close()
    with suppress(FileNotFoundError, IsADirectoryError):
        open_file(folder / "zarr.json").close()


def _faults(image: StoredImage, threads: int) -> list[Fault]:
    attributes = image.attributes
    missing = [Fault(name, "form", "`arrays` does not name it") for name in missing_arrays(attributes)]
    forms, arrays, damaged = _read(image)
    shapes = {name: shape for name, (shape, _) in forms.items()}
    problems = {name: form_fault(name, *form, attributes) for name, form in forms.items()}
    ill_formed = [Fault(name, "form", problem) for name, problem in problems.items() if problem]
    arrays = {name: array for name, array in arrays.items() if not problems[name]}
    judged = _broken_invariants(arrays, attributes)
    if image.is_huge:
        names = [name for name, problem in problems.items() if not problem and name != "cells"]
        judged += huge_faults(image, names, arrays.get("cells"), threads)
    for fault in judged:
        if fault.invariant == "files":
            del shapes[fault.subject]
    others = [Fault(file, "files", problem) for file, problem in file_faults(image.path, attributes, shapes)]
    return [*missing, *damaged, *others, *ill_formed, *judged]


def _read(image: StoredImage) -> tuple[dict[str, Form], dict[str, NDArray[Any]], list[Fault]]:
    """Read all arrays, of a huge image only the table of cells and the forms of the others."""
    forms: dict[str, Form] = {}
    arrays: dict[str, NDArray[Any]] = {}
    damaged = []
    for name in image.attributes["arrays"]:
        try:
            if image.is_huge and name != "cells":
                forms[name] = image.form(name)
            else:
                arrays[name] = image.read(name)
                forms[name] = arrays[name].shape, arrays[name].dtype
        except StoreError as error:
            damaged.append(unreadable(name, error))
    return forms, arrays, damaged


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
