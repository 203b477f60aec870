"""The output of commands: results on stdout, messages on stderr."""

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
    """Return a source after announcing what is ignored in it, how it is read, and the output path `out`."""
    if source.partial and not quiet:
        typer.echo(f"{source.name}: {source.partial}", err=True)
    if not quiet:
        say_first(source.description, *([f"writes {out}"] if out else []))
    return source


def need_torch(purpose: str, quiet: bool) -> None:
    """Load PyTorch as `cellprep.learn.require_torch` does, with a message, as it takes a moment."""
    with passing_words("loading PyTorch", quiet=quiet or "torch" in sys.modules):
        require_torch(purpose)


def tell_next(quiet: bool, *words: object) -> None:
    """Print the next command, quoted for a shell."""
    if not quiet:
        typer.echo(f"next: {shlex.join(['cellprep', *map(str, words)])}", err=True)


def free(option: str, usual: str) -> list[str]:
    """Return the option with a free file name; an empty list if the default name is free."""
    chosen = free_name(Path(usual))
    return [] if chosen == Path(usual) else [option, str(chosen)]


def typed_again(context: typer.Context, *options: Any) -> list[str]:
    """Return the options given on the command line, for another command that has them, too.

    Parameters
    ----------
    context
        The context of the command.
    options
        Names of options, or dataclasses of options.
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
    """Print one JSON object to stdout, in ASCII, as file names may not be valid text."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def show(report: _Table, as_json: bool, quiet: bool) -> None:
    """Print a report to stdout as JSON, or as a table unless `quiet`."""
    if as_json:
        print_json(report.to_dict())
    elif not quiet and (lines := report.table()):
        typer.echo("\n".join(lines))


def show_worst(report: _Scores, as_json: bool, quiet: bool, worst: int, draw: Callable[[], list[Path]]) -> None:
    """Draw the images with the lowest scores, if requested, and list them below the table."""
    if worst and draw() and not (as_json or quiet):
        typer.echo("\n".join(["", *report.table_of_worst(worst)]))


def tell(report: _Report, quiet: bool, *first: str) -> None:
    """Print what was done, and exit with 1 if something failed; if `quiet`, print only failures."""
    errors = report.errors()
    for line in errors if quiet else [*take_unsaid(), *first, *report.notes(), *errors]:
        typer.echo(line, err=True)
    if errors:
        raise typer.Exit(1)
