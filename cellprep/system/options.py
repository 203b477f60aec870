"""Options as keywords: functions take the fields of an options dataclass by name, or an instance of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from cellprep.errors import UsageError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def options_of(kind: type[T], given: T | None, keywords: Mapping[str, Any]) -> T:
    """Return options: those given or the defaults, changed by keywords.

    A field that holds another options dataclass, as `BuildOptions.recipe` does, takes that one's keywords as well.

    Parameters
    ----------
    kind
        Dataclass of the options, all fields of which have a default.
    given
        Options to start from.
    keywords
        Values of fields by name.

    Raises
    ------
    UsageError
        If `given` is something else, or a keyword is no field.

    Examples
    --------
    >>> from cellprep import Recipe
    >>> options_of(Recipe, None, {"wall_width": 5}).wall_width
    5
    >>> options_of(Recipe, None, {"wall_widht": 5})
    Traceback (most recent call last):
    cellprep.errors.UsageError: there is no option wall_widht: did you mean wall_width?
    """
    if given is not None and not isinstance(given, kind):
        raise UsageError(f"options are {given!r}: give {kind.__name__}(...), or each option by its name")
    options = kind() if given is None else given
    own = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name, held in _held(options).items():
        taken = {key: value for key, value in keywords.items() if key not in own and key in _names(type(held))}
        if taken:
            options = replace(options, **{name: replace(held, **taken)})  # type: ignore[type-var]
            keywords = {key: value for key, value in keywords.items() if key not in taken}
    for key in keywords:
        if key not in own:
            names = _names(kind)
            close = get_close_matches(key, names, 1)
            advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise UsageError(f"there is no option {key}: {advice}")
    return replace(options, **keywords) if keywords else options  # type: ignore[type-var]


def takes(kind: type) -> Callable[[F], F]:
    """Return a decorator for a function that ends in ``options=None, **keywords``: its signature names the keywords."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        known = {one.name for one in kept}
        named = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in _defaults(kind).items()
            if name not in known
        ]
        function.__signature__ = signature.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
        return function

    return decorate


def _held(options: Any) -> dict[str, Any]:
    """Return the fields of options that hold options themselves."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in values.items() if is_dataclass(value) and not isinstance(value, type)}


def _defaults(kind: type) -> dict[str, Any]:
    """Return the default of every keyword."""
    options = kind()
    own = {field.name: getattr(options, field.name) for field in fields(kind)}
    held = _held(options)
    return {name: own[name] for name in own if name not in held} | {
        name: default for one in held.values() for name, default in _defaults(type(one)).items()
    }


def _names(kind: type) -> list[str]:
    return list(_defaults(kind))
