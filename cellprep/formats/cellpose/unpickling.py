"""Cellpose's ``_seg.npy``, which is pickled Python, read without running anything that it names.

A pickle is a program: it calls whatever it names. Here it finds nothing to call but the classes of this file, which
only keep what they are given, in the places of the four names that NumPy's own arrays and numbers need. What is
not an array of numbers, a number, a text or a plain container is refused by name. Arrays are made afterwards, of bytes
whose size is checked.
"""

import io
import math
import pickle
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import AnnotationError

_KINDS = re.compile(r"[biuf][1248]")
_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "="}


class _Kept:
    """Keeps what a pickle says of an object."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Kept):
    """In the place of NumPy's arrays: its state is their version, shape, type, order and bytes."""


class _ArrayType(_Kept):
    """In the place of the type `numpy.ndarray`."""


class _DType(_Kept):
    """In the place of NumPy's types of values."""


class _Scalar(_Kept):
    """In the place of NumPy's numbers."""


_STAND_INS: dict[tuple[str, str], type[_Kept]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _DType,
}


class _RefusedError(Exception):
    """A pickle names what is not to be called."""


# The one in C makes room for as many memorised objects as a pickle says, and so may take all memory.
class _Reader(pickle._Unpickler):
    """Reads a pickle that names nothing but what `_STAND_INS` has.

    An array of bytes that may change, which makes room before it reads, is none of NumPy's.
    """

    dispatch = {code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises
        ------
        _RefusedError
            If nothing does.
        """
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core", 1), name))
        if stand_in is None:
            raise _RefusedError(f"it names {f'{module}.{name}'!r}, which may run code")
        return stand_in


def read_seg(content: bytes) -> dict[str, Any]:
    """Return what a ``_seg.npy`` holds by its keys; arrays are to be taken out of it by `as_array`.

    Parameters
    ----------
    content
        The file's bytes.

    Raises
    ------
    AnnotationError
        Saying why, if it is no such file, is damaged, or names something else than arrays of numbers.
    """
    stream = io.BytesIO(content)
    try:
        _check_header(stream)
        kept = _Reader(stream).load()
        _, shape, _, _, (found,) = kept.state
        if not (isinstance(kept, _Array) and shape == () and isinstance(found, dict)):
            raise ValueError("it holds no dictionary")
    except _RefusedError as error:
        raise AnnotationError(f"it is no _seg.npy of Cellpose that can be read safely: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged pickle makes Python do, it is damaged
        raise AnnotationError("it is damaged, or no _seg.npy of Cellpose") from error
    return found


def as_array(value: Any) -> NDArray[Any]:
    """Return an array of numbers from what `read_seg` returned.

    Raises
    ------
    AnnotationError
        If it is none, or damaged.
    """
    try:
        _, shape, dtype, is_fortran, raw = value.state
        text = dtype.given[0]
        if not (isinstance(value, _Array) and isinstance(dtype, _DType) and _KINDS.fullmatch(text)):
            raise TypeError(f"values of the type {text!r}")
        form = np.dtype(_ORDERS[dtype.state[1]] + text)
        if not all(type(side) is int and side >= 0 for side in shape) or type(raw) is not bytes:
            raise TypeError("an array of Python objects")
        if len(raw) != math.prod(shape) * form.itemsize:
            raise ValueError("another number of bytes than its shape has")
        return np.frombuffer(raw, form).reshape(shape, order="F" if is_fortran else "C")
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise AnnotationError(f"its masks are no array of numbers: {error}") from error


def _check_header(stream: io.BytesIO) -> None:
    """Read what comes before the pickle; raises ValueError unless an array of one Python object follows."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if shape != () or dtype != np.dtype(object):
        raise ValueError("it is an array of numbers")
