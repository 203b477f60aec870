"""Writes the types of parameters into signatures, as a reader would type them."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike
from sphinx.application import Sphinx

import cellprep
from cellprep import learn

_ARRAY_LIKE = frozenset(get_args(ArrayLike))


class _Verbatim(str):
    """A text that is its own representation."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def public_names() -> dict[Any, str]:
    """Return the public name of each class, by which the reference lists it."""
    names = [(module.__name__, name) for module in (cellprep, learn) for name in module.__all__]
    found = {f"{module}.{name}": getattr(cellprep if module == "cellprep" else learn, name) for module, name in names}
    return {value: name for name, value in found.items() if isinstance(value, type)}


def name_of(kind: Any, public: dict[Any, str]) -> str:
    """Return a type as text, without what it is annotated with; public classes have their full names."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is None or kind is NoneType:
        return "None"
    if kind is Ellipsis:
        return "..."
    if origin is Annotated:
        return name_of(args[0], public)
    if origin in (Union, UnionType):
        parts = [part for part in args if part not in _ARRAY_LIKE] if _ARRAY_LIKE.issubset(args) else args
        shown = [name_of(part, public) for part in parts] + ["ArrayLike"] * (parts is not args)
        return " | ".join(sorted(shown, key="None".__eq__))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin is np.ndarray:
        return f"NDArray[{name_of(get_args(args[1])[0], public)}]"
    if isinstance(kind, list):
        return f"[{', '.join(name_of(part, public) for part in kind)}]"
    if origin:
        return f"{name_of(origin, public)}[{', '.join(name_of(part, public) for part in args)}]"
    return public.get(kind, getattr(kind, "__name__", str(kind)))


def signature_of(obj: Callable[..., Any], public: dict[Any, str]) -> inspect.Signature | None:
    """Return the signature of a function or class with its types as texts; None if it has none."""
    try:
        signature = inspect.signature(obj)
        hints = get_type_hints(obj.__init__ if isinstance(obj, type) else obj, include_extras=True)
    except (TypeError, ValueError, NameError):
        return None
    if dataclasses.is_dataclass(obj):
        hints |= get_type_hints(obj, include_extras=True)

    def shown(parameter: inspect.Parameter) -> inspect.Parameter:
        default = parameter.default
        if isinstance(default, PurePath):
            default = str(default)
        elif repr(default).startswith("<") and default is not parameter.empty:
            default = _Verbatim("...")
        kind = hints.get(parameter.name, parameter.annotation)
        kind = kind if kind is parameter.empty else _Verbatim(name_of(kind, public))
        return parameter.replace(annotation=kind, default=default)

    has_answer = not isinstance(obj, type) and "return" in hints
    answer = _Verbatim(name_of(hints["return"], public)) if has_answer else signature.empty
    parameters = [shown(parameter) for parameter in signature.parameters.values() if parameter.name != "self"]
    return signature.replace(parameters=parameters, return_annotation=answer)


def write_signature(
    sphinx: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Return the signature of a function, method or class with types."""
    if what not in ("function", "method", "class") or signature is None:
        return None
    typed = signature_of(obj, public_names())
    if typed is None:
        return None
    arguments, _, answer = str(typed).partition(" -> ")
    return arguments, answer or None


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Register with the build."""
    sphinx.connect("autodoc-process-signature", write_signature)
    return {"parallel_read_safe": True}
