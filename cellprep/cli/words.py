"""The output of commands: data to stdout, messages to stderr."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import typer

from cellprep.formats.annotations.source import Source
from cellprep.learn import require_torch
from cellprep.system.options import unfolded
from cellprep.system.output import free_name
from cellprep.system.progress import passing_words, say_first, take_unsaid


class _Report(Protocol):
    def notes(self) -> list[str]: ...

    def errors(self) -> list[str]: ...


class _Table(Protocol):
    def to_dict(self) -> dict[str, Any]: ...

    def table(self) -> list[str]: ...


class _Scores(_Table, Protocol):
    def table_of_worst(self, number: int) -> list[str]: ...


def announced(source: Source, quiet: bool, out: Path | None = None) -> Source:
    """Return a source, having said what of it is to be ignored; what it was taken for is said when work begins.

    `out` is where results go, which is said, too.
    """
    if source.partial and not quiet:
        typer.echo(f"{source.name}: {source.partial}", err=True)
    if not quiet:
        say_first(source.description, *([f"writes {out}"] if out else []))
    return source


def need_torch(purpose: str, quiet: bool) -> None:
    """Load torch, which takes a moment, as `cellprep.learn.require_torch` does."""
    with passing_words("loading PyTorch", quiet=quiet or "torch" in sys.modules):
        require_torch(purpose)


def tell_next(quiet: bool, *words: object) -> None:
    """Say which command to type next, as a shell takes it."""
    if not quiet:
        typer.echo(f"next: {shlex.join(['cellprep', *map(str, words)])}", err=True)


def free(option: str, usual: str) -> list[str]:
    """Return the option for a file that is free; nothing if the usual one is, which is meant unless it is given."""
    chosen = free_name(Path(usual))
    return [] if chosen == Path(usual) else [option, str(chosen)]


def typed_again(context: typer.Context, *options: Any) -> list[str]:
    """Return those options that were typed, as another command takes them, too.

    Parameters
    ----------
    context
        Of the command.
    options
        Names of options, or dataclasses of some.
    """
    named = [name for one in options for name in ([one] if isinstance(one, str) else (o.name for o in unfolded(one)))]
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in named or source is None or source.name != "COMMANDLINE":
            continue
        flag, value = parameter.opts[0], context.params[parameter.name]
        values = value if isinstance(value, list | tuple) else [value]
        words += [flag] if value is True else [word for one in values for word in (flag, str(one))]
    return words


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object to stdout, in ASCII: names of files may be no text at all."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def show(report: _Table, as_json: bool, quiet: bool) -> None:
    """Print a report to stdout: as JSON, or as a table unless that is to be quiet."""
    if as_json:
        print_json(report.to_dict())
    elif not quiet and (lines := report.table()):
        typer.echo("\n".join(lines))


def show_worst(report: _Scores, as_json: bool, quiet: bool, worst: int, draw: Callable[[], list[Path]]) -> None:
    """Draw the images with the lowest scores, if any are to be drawn, and name them below the table."""
    if worst and draw() and not (as_json or quiet):
        typer.echo("\n".join(["", *report.table_of_worst(worst)]))


def tell(report: _Report, quiet: bool, *first: str) -> None:
    """Say what was done, and exit with 1 if something failed; if quiet, say only what failed."""
    errors = report.errors()
    for line in errors if quiet else [*take_unsaid(), *first, *report.notes(), *errors]:
        typer.echo(line, err=True)
    if errors:
        raise typer.Exit(1)
