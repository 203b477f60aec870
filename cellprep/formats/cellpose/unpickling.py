"""Reading Cellpose's ``_seg.npy``, a Python pickle, without executing anything from it.

A pickle is a program that calls the functions it names. Here it can only call the classes of this file, which store
their arguments and stand in for the four names that NumPy's arrays and numbers need. Anything but numeric arrays,
numbers, strings and plain containers is refused, and the error names it. Arrays are created afterwards, from bytes of
checked size.
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
    """Stores what a pickle says about an object."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Kept):
    """Stand-in for NumPy arrays: its state is version, shape, dtype, order and bytes."""


class _ArrayType(_Kept):
    """Stand-in for the type `numpy.ndarray`."""


class _DType(_Kept):
    """Stand-in for NumPy dtypes."""


class _Scalar(_Kept):
    """Stand-in for NumPy scalars."""


_STAND_INS: dict[tuple[str, str], type[_Kept]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _DType,
}


class _RefusedError(Exception):
    """A pickle names something that must not be called."""


# The C implementation allocates as many memo entries as a pickle claims, which may use up the memory.
class _Reader(pickle._Unpickler):
    """Unpickler that only knows the names in `_STAND_INS`.

    Bytearrays, which are allocated before they are read, do not occur in NumPy's pickles and are refused.
    """

    dispatch = {code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name.

        Raises
        ------
        _RefusedError
            If there is none.
        """
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core", 1), name))
        if stand_in is None:
            raise _RefusedError(f"it refers to {f'{module}.{name}'!r}, which may run code")
        return stand_in


def read_seg(content: bytes) -> dict[str, Any]:
    """Return the content of a ``_seg.npy`` by key; extract arrays with `as_array`.

    Parameters
    ----------
    content
        The file's bytes.

    Raises
    ------
    AnnotationError
        If it is not such a file, is damaged, or contains anything but numeric arrays; the message says why.
    """
    stream = io.BytesIO(content)
    try:
        _check_header(stream)
        kept = _Reader(stream).load()
        _, shape, _, _, (found,) = kept.state
        if not (isinstance(kept, _Array) and shape == () and isinstance(found, dict)):
            raise ValueError("it contains no dictionary")
    except _RefusedError as error:
        raise AnnotationError(f"it is not a _seg.npy of Cellpose that can be read safely: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # any error of Python means that the pickle is damaged
        raise AnnotationError("it is damaged, or not a _seg.npy of Cellpose") from error
    return found


def as_array(value: Any) -> NDArray[Any]:
    """Return a numeric array from the result of `read_seg`.

    Raises
    ------
    AnnotationError
        If it is not one, or is damaged.
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
            raise ValueError("the number of bytes does not match its shape")
        return np.frombuffer(raw, form).reshape(shape, order="F" if is_fortran else "C")
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise AnnotationError(f"its masks are not a numeric array: {error}") from error


def _check_header(stream: io.BytesIO) -> None:
    """Read the header before the pickle; raises ValueError unless an array of one Python object follows."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if shape != () or dtype != np.dtype(object):
        raise ValueError("it is a numeric array")
