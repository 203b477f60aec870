"""Files of options, in which each table is a command."""

import inspect
import json
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import typer

from cellprep.cli.application import COMMANDS
from cellprep.errors import CellprepError, SourceError, UsageError
from cellprep.learn.training.options import ALL, FINE_TUNING
from cellprep.learn.training.runs import SETTINGS
from cellprep.text.wording import described, did_you_mean

_HIDDEN = ("version", "help")
_NOT_IN_FILES = ("run", "config")

#: Valid types of a value, by its type on the command line; any other value is a string, or a number read as one.
_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}
_TEXT = (str, int, float), "a string in quotes"

Find = Callable[[str], Any]  # a command by its name


@dataclass(frozen=True, slots=True)
class Key:
    """An option of a command in a file.

    Attributes
    ----------
    name
        The name of its parameter.
    flag
        Its flag; an empty string for an argument.
    names
        All its names in files, ours first.
    kind
        Its type on the command line.
    is_several
        Whether it takes a list.
    is_required
        Whether it must be given.
    parameter
        Its parameter in Typer.
    """

    name: str
    flag: str
    names: tuple[str, ...]
    kind: Any
    is_several: bool
    is_required: bool
    parameter: Any

    def words(self, value: Any) -> list[str]:
        """Return a value as command-line arguments; raise UsageError if it has the wrong type."""
        if isinstance(value, list) and not self.is_several:
            raise UsageError(f"is {described(value)}: give one value")
        given = value if isinstance(value, list) else [value]
        types, right = _KINDS.get(self.kind, _TEXT)
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        for one in given:
            if not isinstance(one, types) or (isinstance(one, bool) and self.kind is not bool):
                raise UsageError(f"is {described(one)}: give {right}")
            if choices and one not in choices:
                raise UsageError(f"is {described(one)}: use one of {', '.join(choices)}")
        if self.kind is bool:
            return [self.flag] if value else []
        return [f"{self.flag}={one}" if self.flag else str(one) for one in given]


@dataclass(frozen=True, slots=True)
class Step:
    """A table of a file: a command with its arguments.

    Attributes
    ----------
    table
        Its name, such as ``train.dn``.
    command
        The command.
    words
        Its arguments.
    """

    table: str
    command: str
    words: list[str]


def keys_of(command: Any) -> list[Key]:
    """Return the options of a command, in the order of its help."""
    aliases: Mapping[str, str] = getattr(command.callback, "aliases", {})
    kinds = {
        name: get_args(one.annotation)[0]
        for name, one in inspect.signature(command.callback).parameters.items()
        if get_args(one.annotation)
    }
    keys = []
    for its in command.params:
        if its.name in _HIDDEN:
            continue
        flags = [flag for flag in its.opts if flag.startswith("--")]
        also = [alias for alias, flag in aliases.items() if flag in flags]
        names = [flag.lstrip("-") for flag in (*flags, *also)] or [its.name]
        kind, is_list = _bare(kinds[its.name])
        keys.append(
            Key(
                name=its.name,
                flag=flags[0] if flags else "",
                names=tuple(dict.fromkeys([*names, its.name.replace("_", "-")])),
                kind=kind,
                is_several=is_list or its.nargs == -1,
                is_required=its.required,
                parameter=its,
            )
        )
    return keys


def _bare(kind: Any) -> tuple[Any, bool]:
    """Return a type without None and list, and whether it was a list."""
    if get_origin(kind) is not Literal:
        kind = next((part for part in get_args(kind) if part is not NoneType), kind) if _is_union(kind) else kind
    return (get_args(kind)[0], True) if get_origin(kind) is list else (kind, False)


def _is_union(kind: Any) -> bool:
    return NoneType in get_args(kind)


def read_steps(path: Path, find: Find, changes: Sequence[str] = ()) -> list[Step]:
    """Read the commands of a file, in their order.

    Parameters
    ----------
    path
        A TOML file with tables, or the ``run.json`` of a training, or its folder.
    find
        Function that returns a command by name.
    changes
        Values that replace the file's, such as ``train.dn.epochs=5``.

    Raises
    ------
    SourceError
        If the file cannot be read.
    UsageError
        If a table is not a command, or an option is unknown or has the wrong type. The message has the file and key.
    """
    path = path / SETTINGS if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        tables = [*_tables(json.loads(text) if path.suffix == ".json" else tomllib.loads(text), path)]
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    if not tables:
        raise UsageError(f"{path} has no tables: name a command in brackets, such as [train.dn], and its options below")
    changed = _changes([name for name, _, _ in tables], changes)
    return [
        _step(path, name, command, [*contents, changed.get(name, {})], find(command))
        for name, command, contents in tables
    ]


_Table = tuple[str, str, list[dict[str, Any]]]  # name, command, and options, of which the last ones are used


def _tables(document: Any, path: Path) -> Iterator[_Table]:
    if path.suffix == ".json":
        yield _of_run(document, path)
        return
    for command, content in document.items():
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {command} is not in a table: name a command above it, such as [train.dn]")
        if command not in COMMANDS or command in _NOT_IN_FILES:
            known = [name for name in COMMANDS if name not in _NOT_IN_FILES]
            advice = did_you_mean(command, known) or f"there are {', '.join(known)}"
            raise UsageError(f"{path} [{command}]: there is no such command: {advice}")
        own = {name: value for name, value in content.items() if not isinstance(value, dict)}
        runs = {name: value for name, value in content.items() if isinstance(value, dict)}
        for name, more in runs.items():
            network = {"network": name} if command == "train" else {}
            yield f"{command}.{name}", command, [network, own, more]
        if not runs:
            yield command, command, [own]


def _of_run(document: Any, path: Path) -> _Table:
    """Return the table of a recorded training."""
    try:
        given, store = dict(document["options"]), document.get("store")
        network = given.pop("network")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"{path} is not the {SETTINGS} of a training: it has no options with a network") from None
    # 0 may differ from the default, such as that of the weight decay, although it equals False.
    options = {name: value for name, value in given.items() if value not in (None, "", []) and value is not False}
    options |= {"augment": ["none"]} if given.get("augment") == [] else {}
    options |= {"data": store} if store else {}
    if network == FINE_TUNING:
        return FINE_TUNING, FINE_TUNING, [options]
    return f"train.{network}", "train", [{"network": network, **options}]


def _changes(tables: Sequence[str], changes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the replacing values by table; raise UsageError if there is no such table."""
    found: dict[str, dict[str, Any]] = {}
    for change in changes:
        place, equals, typed = change.partition("=")
        table, _, key = place.rpartition(".")
        table = tables[0] if not table and len(tables) == 1 else table
        if not equals or table not in tables:
            known = ", ".join(f"[{name}]" for name in tables)
            raise UsageError(f"--set {change}: give TABLE.OPTION=VALUE, with one of the tables {known}")
        try:
            value = tomllib.loads(f"value = {typed}")["value"]
        except tomllib.TOMLDecodeError:
            value = typed
        found.setdefault(table, {})[key] = value
    return found


def _step(path: Path, table: str, name: str, contents: Sequence[Mapping[str, Any]], command: Any) -> Step:
    """Return the command of a table; if several of its contents have an option, the last one is used."""
    where = f"{path} [{table}]"
    keys = keys_of(command)
    given: dict[str, list[str]] = {}
    for content in contents:
        given |= _given(where, content, keys)
    for key in keys:
        if key.is_required and key.name not in given:
            raise UsageError(f"{where}: {key.names[0]} is not given: {key.parameter.help}")
    flags = [word for key in keys if key.flag and key.name in given for word in given[key.name]]
    places = [word for key in keys if not key.flag and key.name in given for word in given[key.name]]
    dashes = ["--"] if any(word.startswith("-") for word in places) else []
    return Step(table, name, [*flags, *dashes, *places] if dashes else [*places, *flags])


def _given(where: str, content: Mapping[str, Any], keys: Sequence[Key]) -> dict[str, list[str]]:
    """Return the command-line arguments of each given option."""
    by_name = {one: key for key in keys for one in key.names}
    found: dict[str, list[str]] = {}
    for typed, value in content.items():
        key = by_name.get(typed.replace("_", "-"))
        if key is None:
            known = ", ".join(one.names[0] for one in keys)
            advice = did_you_mean(typed.replace("_", "-"), by_name) or f"there are {known}"
            raise UsageError(f"{where}: there is no option {typed}: {advice}")
        if key.name in found:
            raise UsageError(f"{where}: {typed} is an alias of an option that is already given")
        try:
            found[key.name] = key.words(value)
        except UsageError as error:
            raise UsageError(f"{where}: {typed} {error}") from None
    return found


def check_steps(path: Path, steps: Iterable[Step], find: Find) -> None:
    """Refuse values that a command would refuse, before earlier commands run for hours.

    Raises
    ------
    UsageError
        If a value is invalid. The message has the file and the table.
    """
    for step in steps:
        command = find(step.command)
        try:
            with command.make_context(step.command, [*step.words]) as context:
                command.callback.check({**context.params})
        except (CellprepError, typer.TyperException) as error:
            words = error.format_message() if hasattr(error, "format_message") else str(error)
            raise UsageError(f"{path} [{step.table}]: {words}") from None


def empty_table(name: str, command: Any) -> list[str]:
    """Return the lines of a table with every option of a command, its help and default, all commented out."""
    lines = [f"# {line}" for line in inspect.cleandoc(command.help).split("\n\n")[0].splitlines()]
    lines.append(f"[{name}]")
    group = None
    for key in keys_of(command):
        its = key.parameter
        panel = getattr(its, "rich_help_panel", None)
        if panel != group:
            lines += ["", f"# --- {panel} ---"]
            group = panel
        usual = f" Default: {its.show_default}." if isinstance(getattr(its, "show_default", None), str) else ""
        must = " Required." if key.is_required else ""
        choices = f" {its.metavar}" if (its.metavar or "").startswith("[") else ""
        lines += textwrap.wrap(
            f"{its.help}{choices}{usual}{must}",
            118,
            break_on_hyphens=False,
            initial_indent="# ",
            subsequent_indent="# ",
        )
        lines.append(f"# {key.names[0]} = {_as_toml(its.default, key)}")
    return lines


def _as_toml(value: Any, key: Key) -> str:
    if value in (None, "", (), []):
        return "[...]" if key.is_several else "..."
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value if isinstance(value, int | float) else str(value), ensure_ascii=False)


#: The tables of a new file by default: the needs of one project.
USUAL_TABLES = ("build-targets", f"train.{ALL}", "predict", "evaluate")
