"""Commands made from functions: a parameter whose type is an options dataclass stands for all options in it."""

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import MISSING, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

from cellprep.cli.application import Version, app
from cellprep.cli.existing import PICTURES, RUN, is_first_process, is_folder, refuse_existing, refuse_read, replaced
from cellprep.cli.options import ALIASES
from cellprep.errors import UsageError
from cellprep.system.aside import FILES
from cellprep.system.options import GROUPS, Declared, Option, options_of, taken, unfolded
from cellprep.system.progress import say_first

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output.", rich_help_panel="Output")]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_LAST = ("overwrite", "jobs", "scheduler", "quiet", "version")  # common to many commands
_LONG = 14  # number of options from which the help shows groups


class Command(TyperCommand):
    """A command whose options may have aliases, and whose help lists --help next to --version."""

    def named(self, args: list[str]) -> list[str]:
        """Replace the option names of other tools with ours."""
        aliases: Mapping[str, str] = getattr(self.callback, "aliases", {})
        end = args.index("--") if "--" in args else len(args)
        return [*(_named(word, aliases) for word in args[:end]), *args[end:]]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with any of the option names."""
        return super().parse_args(ctx, self.named(args))

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        option = super().get_help_option(ctx)
        if option:
            option.rich_help_panel = next(its.rich_help_panel for its in self.params if its.name == "version")  # type: ignore[attr-defined]
        return option


def _named(word: str, aliases: Mapping[str, str]) -> str:
    """Return an argument, ``--option`` or ``--option=value``, with our name of the option."""
    flag, equals, value = word.partition("=")
    flag = flag.replace("_", "-") if flag.startswith("--") else flag
    return f"{aliases[flag]}{equals}{value}" if flag in aliases else word


def command(
    name: str,
    cls: type[Command] = Command,
    writes: tuple[str, ...] = (),
    folders: tuple[str, ...] = (),
    check: Callable[..., object] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a function a command of the application.

    `writes` are the parameters with output paths. Existing output is refused before the function is called, unless
    ``--overwrite`` is given, an option that such a command gets. `folders` are those of them that may be folders, as a
    file never replaces a folder. `check` takes the options, and raises an error if they contradict each other; so does
    the function itself.

    The parameters of the function are those of Typer, with three additions:

    - ``options: Kind`` with an options dataclass becomes its options; the function gets an instance.
    - ``given: Annotated[dict[str, Any], Kind]`` becomes the same options; the function gets their values by name. The
      dataclass may also be a function that declares its parameters as options, and may be followed by a tuple of the
      names of options to leave out.
    - ``jobs: Annotated[int, Option(...)]`` becomes this option.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        shown: list[inspect.Parameter] = []
        makers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        aliases: dict[str, str] = {}
        for one in inspect.signature(function).parameters.values():
            declared, make = _declared(one)
            if make:
                makers[one.name] = make
                aliases |= {alias: _flags(its)[0] for its in declared for alias in its.option.aliases}
                shown += [parameter for its in declared for parameter in _parameters(its)]
            else:
                shown.append(one.replace(kind=_KEYWORD))
        more = {"overwrite": Overwrite} if writes else {}
        for extra, annotation in (*more.items(), ("version", Version)):
            shown.append(inspect.Parameter(extra, _KEYWORD, default=False, annotation=annotation))
        shown = [_with_aliases(one) for one in _laid_out(shown)]
        aliases |= {alias: f"--{one.name}" for one in shown for alias in ALIASES.get(one.name, ())}

        @wraps(function)
        def run(**values: Any) -> None:
            del values["version"]
            say_first()
            places = _written(writes, folders, values)
            reads = [*_each(value for name, value in values.items() if name not in writes)]
            refuse_read(places, reads)
            overwrites, resumes = values.pop("overwrite", False), values.get("resume")
            made = {parameter: make(values) for parameter, make in makers.items()}
            if resumes is None and not overwrites:  # commands that can resume report it themselves
                refuse_existing(places)
            if overwrites and resumes:
                raise UsageError("--resume continues existing output, but --overwrite replaces it: give one of them")
            mark = RUN if resumes is not None else PICTURES if "pictures" in writes else FILES
            with replaced(places, reads, mark) if overwrites else nullcontext():
                function(**values, **made)

        def find_fault(values: dict[str, Any]) -> None:
            made = [make(values) for make in makers.values()]
            if check:
                check(*made)

        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.check = find_fault  # type: ignore[attr-defined]
        run.aliases, run.writes = aliases, writes  # type: ignore[attr-defined]
        app.command(name, cls=cls)(run)
        return run

    return decorate


def _written(writes: Iterable[str], folders: Iterable[str], values: Mapping[str, Any]) -> list[Path]:
    """Return the output paths of a command; those of the worst images' pictures only if they are requested.

    A folder at the path of a file is left out, as the function always refuses it.
    """
    if not is_first_process():
        return []
    names = [name for name in writes if values[name] is not None and (name != "pictures" or values["worst"])]
    return [Path(values[name]) for name in names if name in folders or not is_folder(Path(values[name]))]


def _each(values: Iterable[Any]) -> Iterator[Any]:
    """Yield all values, including those in lists."""
    for value in values:
        yield from value if isinstance(value, list | tuple) else (value,)


def _laid_out(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return parameters in the order of the help: first arguments, last common options; long lists in groups."""
    if len(parameters) < _LONG:
        parameters = [_changed(parameter, rich_help_panel=None) for parameter in parameters]
    return sorted(parameters, key=_place)


def _with_aliases(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter whose help lists its aliases."""
    about = _about(parameter)
    if about is None or parameter.name not in ALIASES:
        return parameter
    return _changed(parameter, help=f"{about.help}{_also(ALIASES[parameter.name])}")


def _also(aliases: tuple[str, ...]) -> str:
    return f" Also: {', '.join(aliases)}." if aliases else ""


def _place(parameter: inspect.Parameter) -> tuple[int, int]:
    about = _about(parameter)
    if about is None:
        return -1, 0
    group = about.rich_help_panel
    return (
        GROUPS.index(group) if isinstance(group, str) else 0,
        1 + _LAST.index(parameter.name) if parameter.name in _LAST else 0,
    )


def _about(parameter: inspect.Parameter) -> OptionInfo | None:
    """Return Typer's information on an option; None for an argument and for the context."""
    return next((about for about in get_args(parameter.annotation) if isinstance(about, OptionInfo)), None)


def _changed(parameter: inspect.Parameter, **changes: Any) -> inspect.Parameter:
    """Return an option with changed information for Typer; arguments stay unchanged."""
    about = _about(parameter)
    if about is None:
        return parameter
    own = copy.copy(about)  # the original is shared
    vars(own).update(changes)
    kind, *_ = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[kind, own])


def _declared(parameter: inspect.Parameter) -> tuple[list[Declared], Callable[[dict[str, Any]], Any] | None]:
    """Return the options that a parameter stands for, and a function that makes its value from theirs."""
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
    """Yield Typer's parameters for an option, an argument if it is required, and for the flag to unset it."""
    option = its.option
    words = f"{option.help}." if its.short_choices and option.help[-1] != "." else option.text
    words += _also(option.aliases)
    about: dict[str, Any] = {"help": words, "metavar": its.short_choices or option.metavar}
    about["rich_help_panel"] = option.group or None
    if option.choices:
        about["autocompletion"] = lambda: list(option.choices)
    if its.default is MISSING:
        yield _parameter(its.name, _typed(its), typer.Argument(**about))
        return
    default = option.typed or (None if its.is_several else its.default)
    if default is not True:
        flags = _flags(its)
        about |= {"show_default": option.usual} if option.usual else {}
        kind = _typed(its) | None if default is None else _typed(its)
        yield _parameter(its.name, kind, typer.Option(*flags, **about), default)
    if option.unset:
        flag, words = option.unset
        group = option.group or None
        yield _parameter(_name_of(flag), bool, typer.Option(flag, help=words, rich_help_panel=group), False)


def _flags(its: Declared) -> tuple[str, ...]:
    return its.option.flags or (f"--{its.name.replace('_', '-')}",)


def _parameter(name: str, kind: Any, about: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, _KEYWORD, default=default, annotation=Annotated[kind, about])


def _typed(its: Declared) -> Any:
    """Return the type for Typer; a path that may be a URL stays a string."""
    first, *_ = its.types
    if its.is_several:
        return list[str] if its.option.parse else list[get_args(first)[0]]  # type: ignore[misc]
    if its.option.parse or (Path in its.types and its.option.metavar):
        return str
    return first


def _name_of(flag: str) -> str:
    return flag.strip("-").replace("-", "_")


def _given(options: Iterable[Declared], values: dict[str, Any]) -> dict[str, Any]:
    """Remove options from all values, and return those that were given."""
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
