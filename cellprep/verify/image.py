"""Verifying one image: what a worker does."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError
from cellprep.executor import one_opencv_thread
from cellprep.store.arrays import array_path, read_array
from cellprep.store.entries import Kind, kind_of
from cellprep.store.integrity import file_faults
from cellprep.store.reader import read_attributes
from cellprep.verify.forms import array_fault, attributes_fault, missing_arrays
from cellprep.verify.invariants import INVARIANTS
from cellprep.wording import printable

__all__ = ["Fault", "Findings", "verify_image"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an image.

    Attributes
    ----------
    subject
        The array, or the file within the image's folder.
    invariant
        What does not hold: a name in `cellprep.verify.invariants.INVARIANTS`, ``files``, ``attributes`` or ``form``.
    problem
        What is wrong, and where.
    """

    subject: str
    invariant: str
    problem: str

    def described(self) -> str:
        """Say all of it."""
        return f"{printable(self.subject)}, {self.invariant}: {self.problem}"


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


def verify_image(place: Path) -> Findings:
    """Verify one entry of a store's folder. Never raises."""
    kind = Kind.IMAGE
    try:
        kind = kind_of(place)
        return _findings(place, kind)
    except OSError as error:
        return Findings(kind, unchecked=f"{error.filename or place}: {error.strerror}")
    except MemoryError:
        return Findings(kind, unchecked="there is not enough memory to verify it")
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are verified
        problem = f"unexpected {type(error).__name__}: {error}; please report this"
        return Findings(kind, unchecked=" ".join(problem.split()))


def _findings(place: Path, kind: Kind) -> Findings:
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
        return Findings(kind, tuple(_faults(place, attributes)), attributes=attributes)


def _try_to_read(folder: Path) -> None:
    """Raise the error of a folder that may not be read, and is not to be judged."""
    os.scandir(folder).close()
    with suppress(FileNotFoundError, IsADirectoryError):
        (folder / "zarr.json").open("rb").close()


def _faults(place: Path, attributes: dict[str, Any]) -> Iterator[Fault]:
    arrays: dict[str, NDArray[Any]] = {}
    for name in missing_arrays(attributes):
        yield Fault(name, "form", "`arrays` does not name it")
    for name in attributes["arrays"]:
        try:
            arrays[name] = read_array(place / array_path(name), name)
        except StoreError as error:
            _raise_if_forbidden(error)
            yield Fault(name, "files", str(error))
    for file, problem in file_faults(place, attributes, {name: array.shape for name, array in arrays.items()}):
        yield Fault(file, "files", problem)
    for name in list(arrays):
        if fault := array_fault(name, arrays[name], attributes):
            yield Fault(name, "form", fault)
            del arrays[name]
    with np.errstate(all="ignore"):  # wrong values may overflow
        yield from list(_broken_invariants(arrays, attributes))


def _broken_invariants(arrays: dict[str, NDArray[Any]], attributes: dict[str, Any]) -> Iterator[Fault]:
    """Yield the first that each array breaks; what is made from a broken array is not judged by it."""
    for name, invariant in INVARIANTS.items():
        if any(needed not in arrays for needed in invariant.arrays):
            continue
        if problem := invariant.problem(arrays, attributes):
            subject = invariant.arrays[0]
            yield Fault(subject, name, problem)
            del arrays[subject]


def _raise_if_forbidden(error: StoreError) -> None:
    if isinstance(error.__cause__, PermissionError):
        raise error.__cause__
