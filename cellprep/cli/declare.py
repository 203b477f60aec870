"""Commands out of functions: a parameter whose type is an options dataclass stands for all options that it declares."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand
from typer.models import ArgumentInfo

from cellprep.cli.application import Version, app
from cellprep.errors import UsageError
from cellprep.system.options import Declared, Option, options_of, taken, unfolded

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_LAST = ("jobs", "scheduler", "quiet")  # which many commands have


def command(name: str, cls: type[TyperCommand] | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a function a command of the application.

    The function's parameters are as Typer takes them, but for three kinds:

    - ``options: Kind`` of an options dataclass becomes the options that it declares; the function is given an instance.
    - ``given: Annotated[dict[str, Any], Kind]`` becomes the same, and the function is given their values by name. In
      place of the dataclass there may be a function that declares its parameters as options. Names in a tuple behind
      it are of options that are left out.
    - ``jobs: Annotated[int, Option(...)]`` becomes that option.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        shown: list[inspect.Parameter] = []
        makers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        for one in inspect.signature(function).parameters.values():
            declared, make = _declared(one)
            if make:
                makers[one.name] = make
                shown += [parameter for its in declared for parameter in _parameters(its)]
            else:
                shown.append(one.replace(kind=_KEYWORD))
        shown.sort(key=_place)
        shown.append(inspect.Parameter("version", _KEYWORD, default=False, annotation=Version))

        @wraps(function)
        def run(**values: Any) -> None:
            del values["version"]
            made = {parameter: make(values) for parameter, make in makers.items()}
            function(**values, **made)

        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        app.command(name, cls=cls)(run)
        return run

    return decorate


def _place(parameter: inspect.Parameter) -> int:
    """Return where a parameter stands: arguments first, and last what many commands have."""
    if any(isinstance(about, ArgumentInfo) for about in get_args(parameter.annotation)):
        return -1
    return 1 + _LAST.index(parameter.name) if parameter.name in _LAST else 0


def _declared(parameter: inspect.Parameter) -> tuple[list[Declared], Callable[[dict[str, Any]], Any] | None]:
    """Return the options that a parameter stands for, and what takes its value out of those that were typed."""
    kind, about, *rest = (*get_args(parameter.annotation), None, None)
    if is_dataclass(parameter.annotation):
        whole: Any = parameter.annotation
        options = list(unfolded(whole))
        return options, lambda values: options_of(whole, None, _given(options, values))
    if isinstance(about, Option):
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        its = Declared(parameter.name, kind, default, about)
        return [its], lambda values: ({its.name: default} | taken([its], _given([its], values)))[its.name]
    if inspect.isfunction(about) or (isinstance(about, type) and is_dataclass(about)):
        without = rest[0] if rest and isinstance(rest[0], tuple) else ()
        options = [its for its in unfolded(about) if its.name not in without]
        usual = {its.name: its.default for its in options}
        return options, lambda values: usual | taken(options, _given(options, values))
    return [], None


def _parameters(its: Declared) -> Iterator[inspect.Parameter]:
    """Yield what Typer is told of an option, an argument if it must be given, and of the flag that unsets it."""
    option = its.option
    about: dict[str, Any] = {"help": option.text, "metavar": option.metavar}
    if option.choices:
        about["autocompletion"] = lambda: list(option.choices)
    if its.default is MISSING:
        yield _parameter(its.name, _typed(its), typer.Argument(**about))
        return
    default = option.typed or (None if its.is_several else its.default)
    if default is not True:
        flags = option.flags or (f"--{its.name.replace('_', '-')}",)
        about |= {"show_default": option.usual} if option.usual else {}
        kind = _typed(its) | None if default is None else _typed(its)
        yield _parameter(its.name, kind, typer.Option(*flags, **about), default)
    if option.unset:
        flag, words = option.unset
        yield _parameter(_name_of(flag), bool, typer.Option(flag, help=words), False)


def _parameter(name: str, kind: Any, about: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, _KEYWORD, default=default, annotation=Annotated[kind, about])


def _typed(its: Declared) -> Any:
    """Return the type that Typer reads; a path that may be a URL stays a text."""
    first, *_ = its.types
    if its.is_several:
        return list[str] if its.option.parse else list[get_args(first)[0]]  # type: ignore[misc]
    if its.option.parse or (Path in its.types and its.option.metavar):
        return str
    return first


def _name_of(flag: str) -> str:
    return flag.strip("-").replace("-", "_")


def _given(options: Iterable[Declared], values: dict[str, Any]) -> dict[str, Any]:
    """Take options out of all values, without those that were not given."""
    given = {}
    for its in options:
        value = values.pop(its.name, None)
        if its.option.unset and values.pop(_name_of(its.option.unset[0])):
            if value is not None:
                raise UsageError(f"--{its.name} and {its.option.unset[0]} contradict each other: give one of them")
            value = False
        if value not in (None, [], ()):
            given[its.name] = value
    return given
