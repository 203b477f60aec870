"""The output of commands: data to stdout, messages to stderr."""

import json
from typing import Any, Protocol

import typer


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object to stdout, in ASCII: names of files may be no text at all."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


class _Report(Protocol):
    def notes(self) -> list[str]: ...

    def errors(self) -> list[str]: ...


def tell(report: _Report, quiet: bool, *first: str) -> None:
    """Say what was done, and exit with 1 if something failed; if quiet, say only what failed."""
    errors = report.errors()
    for line in errors if quiet else [*first, *report.notes(), *errors]:
        typer.echo(line, err=True)
    if errors:
        raise typer.Exit(1)
