"""Options, each declared once, as a field of a dataclass, for both the command line and Python.

A function of the library ends in ``options=None, **keywords``. It takes an instance of the dataclass, or its fields by
name. `cellprep.cli.declare` turns the same fields into command-line options. A function with few options declares them
as parameters.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from cellprep.errors import UsageError
from cellprep.system.places import is_place
from cellprep.text.frames import is_frame
from cellprep.text.wording import described, did_you_mean

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Option:
    """Help text and command-line form of an option: the annotation of a field's type.

    Attributes
    ----------
    help
        Help text. The choices are appended unless it ends with a full stop.
    choices
        The valid values, by name.
    listed
        Names that values consist of, if there are more values than names.
    aliases
        Further flags, as in other tools. They are also accepted in files.
    group
        One of `GROUPS`, under which a long help shows it.
    flags
        Names on the command line, if they differ from the field's name.
    metavar
        Placeholder for the value on the command line.
    parse
        Parses values of another type, such as text from the command line; for a field with several values, all at once.
    typed
        The default as text, if values are parsed.
    usual
        Description of the default, if it depends on other options.
    unset
        Command-line flag that sets it to False, and its help.
    """

    help: str
    choices: Collection[str] = ()
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    parse: Callable[[Any], Any] | None = None
    typed: str | None = None
    usual: str = ""
    unset: tuple[str, str] | None = None
    listed: Collection[str] = ()
    aliases: tuple[str, ...] = ()
    group: str = ""

    @property
    def text(self) -> str:
        """Help text, with choices or names unless it is a complete sentence."""
        names = ", ".join(self.choices or self.listed)
        return self.help if self.help[-1] == "." else f"{self.help}: {names}." if names else f"{self.help}."


#: Groups of options, in the order of a long help.
GROUPS = (
    *("Data", "Annotations", "Predictions", "Weights", "Images", "Targets", "Network", "Optimisation", "Augmentation"),
    *("Decoding", "Rules", "Scores", "Output", "Run"),
)

_SHORT = 32  # characters of choices in brackets

Jobs = Annotated[int, Option("Number of processes; -1 for one per core.", aliases=("--n-jobs",), group="Run")]
Quiet = Annotated[bool, Option("Show no progress, and print only errors.", flags=("--quiet", "-q"), group="Run")]
Only = Annotated[
    Sequence[str],
    Option("Id of an image to use, repeatable; all by default.", flags=("--image",), group="Images"),
]
Scheduler = Annotated[
    str | None,
    Option(
        "Dask scheduler, such as tcp://host:8786, whose workers do the work instead of --jobs.",
        metavar="ADDRESS",
        group="Run",
    ),
]


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared option.

    Attributes
    ----------
    name
        Name of the field or parameter.
    kind
        Type, without the option.
    default
        Default; `dataclasses.MISSING` if the option is required.
    option
        The option in the type's annotation.
    """

    name: str
    kind: Any
    default: Any
    option: Option

    @property
    def held(self) -> type | None:
        """Dataclass of the options that the field contains, as `BuildOptions.recipe` does."""
        return self.kind if is_dataclass(self.kind) and isinstance(self.kind, type) else None

    @property
    def types(self) -> tuple[Any, ...]:
        """Types that a value can have, without None."""
        union = get_args(self.kind) if get_origin(self.kind) not in (Literal, *_SEVERAL) else (self.kind,)
        return tuple(kind for kind in union or (self.kind,) if kind is not NoneType)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its aliases, in the form of field names."""
        return tuple(flag.lstrip("-").replace("-", "_") for flag in self.option.aliases)

    @property
    def is_several(self) -> bool:
        """True if it takes several values."""
        return self.option.typed is None and get_origin(self.types[0]) in _SEVERAL

    @property
    def choices(self) -> Collection[str]:
        """Valid values of a single value; empty if it is not restricted to choices."""
        return get_args(self.types[0]) if get_origin(self.types[0]) is Literal else self.option.choices

    @property
    def short_choices(self) -> str:
        """The choices in brackets, as shown in help texts; an empty string if there are too many."""
        words = f"[{'|'.join(self.choices)}]"
        return words if self.choices and len(words) <= _SHORT and not self.option.metavar else ""

    def taken(self, value: Any) -> Any:
        """Return a value converted for the field: text is parsed, and several values become a tuple.

        Raises
        ------
        UsageError
            If it has the wrong type or cannot be parsed.
        """
        if value is None and NoneType in get_args(self.kind):
            return None
        kind = get_origin(self.types[0]) or self.types[0]
        if self.is_several and not (kind is Mapping and isinstance(value, Mapping)):
            held = get_args(self.types[0])[0]
            if isinstance(value, Integral) and int in (held, *get_args(held)):
                value = (value,)
            if not isinstance(value, Iterable):
                words = "values by name" if kind is Mapping else "one string or a list of strings"
                raise UsageError(f"{self.name} is {described(value)}: give {words}")
            several = (value,) if is_place(value) else tuple(value)
            return self.option.parse(several) if self.option.parse else several
        if self.option.parse and not isinstance(value, kind):
            return self.option.parse(value)
        is_right, words = _RIGHT.get(self.types, (lambda _: True, ""))
        if self.held:
            is_right, words = (lambda it: isinstance(it, kind)), f"{kind.__name__}(...)"
        if not is_right(value):
            raise UsageError(f"{self.name} is {described(value)}: give {words}")
        return value


_SEVERAL = (tuple, Sequence, Mapping)
_PATH = is_place, "a path"
_RIGHT: dict[tuple[Any, ...], tuple[Callable[[Any], bool], str]] = {
    (int,): (lambda value: isinstance(value, Integral), "a whole number"),
    (float,): (lambda value: isinstance(value, Real), "a number"),
    (bool,): (lambda value: not hasattr(value, "__len__") and value in (0, 1), "True or False"),
    (Path,): _PATH,
    (Path, str): _PATH,
    (Path, str, Literal[False]): (lambda value: value is False or is_place(value), "a path, or False for none"),
    (Path, str, Any): (lambda value: is_place(value) or is_frame(value), "a path or a data frame"),
}


def declared(kind: Any) -> dict[str, Declared]:
    """Return the options that a dataclass declares as fields, or a function as parameters, by name."""
    return _declared(kind)


@cache
def _declared(kind: Any) -> dict[str, Declared]:
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        made = {its.name: its.default_factory for its in fields(kind)}
        defaults = {its.name: its.default for its in fields(kind)}
        defaults |= {name: make() for name, make in made.items() if make is not MISSING}
    else:
        hints = kind.__annotations__  # annotations in strings, whose names may not be loaded, are not options
        defaults = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
    annotated = {name: get_args(hints[name]) for name in defaults if get_origin(hints.get(name)) is Annotated}
    return {
        name: Declared(name, bare, defaults[name], option)
        for name, (bare, option) in annotated.items()
        if isinstance(option, Option)
    }


def unfolded(kind: Any) -> Iterator[Declared]:
    """Yield all declared options, including those of contained dataclasses."""
    for option in declared(kind).values():
        yield from unfolded(option.held) if option.held else (option,)


def documented(kind: F) -> F:
    """Decorate a dataclass of options, or a function that declares some, to add them to its docstring and signature.

    The function refuses unknown keywords, as functions decorated with `takes` do.
    """
    lines = []
    for name, its in declared(kind).items():
        words = [re.sub("[,;] repeatable", ", one or several", its.option.text.replace("SOURCE", "the source"))]
        words += [f"False: {its.option.unset[1]}"] if its.option.unset and its.default is not True else []
        words += [f"Default: {its.option.usual}."] if its.option.usual else []
        text = re.sub(r"--([a-z][a-z-]*)", lambda flag: f"``{flag[1].replace('-', '_')}``", " ".join(words))
        lines += [name, *(f"    {line}" for line in textwrap.wrap(text, 110, break_on_hyphens=False))]
    if isinstance(kind, type):
        lines = ["", "Attributes", "----------", *lines]
    head, rest, tail = re.split(
        r"(\n\n(?:Returns|Raises|Examples)\n|\Z)", inspect.cleandoc(kind.__doc__ or ""), maxsplit=1
    )
    kind.__doc__ = "\n".join([head, *lines]) + rest + tail
    function: Any = vars(kind)["__init__"] if isinstance(kind, type) else kind
    shown = inspect.signature(function)
    bare = [one.replace(annotation=_without_option(one.annotation)) for one in shown.parameters.values()]
    function.__signature__ = shown.replace(parameters=bare)
    return kind if isinstance(kind, type) else takes()(kind)


def _without_option(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def take_values(options: Any, but: Collection[str] = ()) -> None:
    """Convert the values of options, which may be text, to their types; for use in ``__post_init__``.

    Raises
    ------
    UsageError
        If a value has the wrong type, or is not one of the choices (except for the options in `but`).
    """
    for its in declared(type(options)).values():
        value = its.taken(getattr(options, its.name))
        object.__setattr__(options, its.name, value)
        is_open = its.is_several or its.name in but or not its.choices
        if not is_open and value != its.default and value not in [*its.choices]:
            name = its.name.replace("_", " ")
            raise UsageError(f"{name} {value!r} is unknown: use one of {', '.join(its.choices)}")


def options_of(kind: type[T], given: T | None, keywords: Mapping[str, Any]) -> T:
    """Return options: those given, or the defaults, updated by keywords.

    A field that contains another dataclass of options, as `BuildOptions.recipe` does, also accepts its keywords.

    Parameters
    ----------
    kind
        Dataclass of the options.
    given
        Options to start from.
    keywords
        Values of fields by name; text is accepted where the command line accepts it.

    Raises
    ------
    UsageError
        If `given` has another type, a keyword is unknown, or a required option is missing.

    Examples
    --------
    >>> from cellprep import Recipe
    >>> options_of(Recipe, None, {"wall_width": 5, "bins": "paper"}).levels
    16
    >>> options_of(Recipe, None, {"wall_widht": 5})
    Traceback (most recent call last):
    cellprep.errors.UsageError: there is no option wall_widht: did you mean wall_width?
    """
    if given is not None and not isinstance(given, kind):
        raise UsageError(f"options are {described(given)}: give {kind.__name__}(...), or each option by its name")
    keywords = by_field([kind], keywords)
    refuse_unknown(keywords, _names(kind))
    values = {}
    for name, its in declared(kind).items():
        if name in keywords:
            values[name] = its.taken(keywords[name])
        if its.held and (inner := {key: keywords[key] for key in keywords if key in _names(its.held) and key != name}):
            values[name] = options_of(its.held, values.get(name, getattr(given, name, None)), inner)
        if its.default is MISSING and given is None and name not in values:
            raise UsageError(f"{name} is missing: {its.option.text}")
    if given is None:
        return kind(**values)
    return replace(given, **values) if values else given  # type: ignore[type-var]


def taken(options: Iterable[Declared], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options by name, converted for their fields."""
    known = {its.name: its for its in options}
    return {name: known[name].taken(value) for name, value in keywords.items()}


def by_field(kinds: Iterable[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords by the names of their fields, with aliases resolved.

    Raises
    ------
    UsageError
        If an option is given under two names.

    Examples
    --------
    >>> from cellprep.learn.training.options import TrainOptions
    >>> by_field([TrainOptions], {"lr": 0.01, "seed": 1})
    {'max_lr': 0.01, 'seed': 1}
    """
    called = {alias: its.name for kind in kinds for its in unfolded(kind) for alias in its.aliases}
    found: dict[str, Any] = {}
    for key, value in keywords.items():
        name = called.get(key, key)
        if name in found:
            raise UsageError(f"{name} is given twice, also as {key}: give it once")
        found[name] = value
    return found


def parted(keywords: Mapping[str, Any], kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keywords that are options of a dataclass, and the others."""
    keywords, own = by_field([kind], keywords), _names(kind)
    return (
        {name: value for name, value in keywords.items() if name in own},
        {name: value for name, value in keywords.items() if name not in own},
    )


def refuse_unknown(keywords: Collection[str], known: Sequence[str]) -> None:
    """Raise UsageError for an unknown keyword, with a suggestion."""
    for key in keywords:
        if key not in known:
            advice = did_you_mean(key, known) or f"the options are {', '.join(known)}"
            raise UsageError(f"there is no option {key}: {advice}")


def takes(*kinds: type, but: Collection[str] = ()) -> Callable[[F], F]:
    """Return a decorator for a function whose ``**keywords`` are the options of dataclasses, except for some names."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        own = [one.name for one in kept]
        named = [
            inspect.Parameter(its.name, inspect.Parameter.KEYWORD_ONLY, default=_shown(its), annotation=its.kind)
            for kind in kinds
            for its in unfolded(kind)
            if its.name not in (*own, *but)
        ]
        held = [name for kind in kinds for name, its in declared(kind).items() if its.held]
        known = [*own, *(one.name for one in named), *held]
        options = declared(function)

        @wraps(function)
        def checked(*given: Any, **keywords: Any) -> Any:
            keywords = by_field([function, *kinds], keywords)
            refuse_unknown(keywords, known)
            own_options = {name: value for name, value in keywords.items() if name in options}
            return function(*given, **keywords | taken(options.values(), own_options))

        checked.__signature__ = signature.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def _shown(its: Declared) -> Any:
    if its.option.typed is not None:
        return its.option.typed
    return inspect.Parameter.empty if its.default is MISSING else its.default


def _names(kind: type) -> list[str]:
    """Return the names of all keywords."""
    return [name for its in declared(kind).values() for name in (its.name, *(_names(its.held) if its.held else ()))]
