"""The door: the application that commands are hung into, and where errors leave."""

import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from cellprep.cli.options import Version
from cellprep.errors import CellprepError, UsageError
from cellprep.system.executor import keep_freed_memory
from cellprep.system.starting import described, end_of_start, leave, was_interrupted


class _Door(TyperGroup):
    """The group of commands, which turns each error into one line without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            end_of_start()
            return super().invoke(ctx)
        except CellprepError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
        except KeyboardInterrupt:
            typer.echo(f"interrupted: what is written is whole; {self._how_to_go_on(ctx)}", err=True)
            raise typer.Exit(130) from None

    def _how_to_go_on(self, ctx: Any) -> str:
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        resumes = command is not None and any(option.name == "resume" for option in command.params)
        return "the same command with --resume goes on" if resumes else "run the same command again"


app = typer.Typer(
    name="cellprep",
    cls=_Door,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def cellprep(version: Version = False) -> None:
    """Turn instance annotations of cells into training targets for the Deep Watershed Transform."""


def _drop_output() -> None:
    """Send what waits for standard output nowhere: Python would try again when it ends, and tell of it in its way."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _drop(_: object) -> None:
    """Say nothing of an error that cannot be raised."""


def main() -> None:
    """Run the command ``cellprep``; CELLPREP_TRACEBACK=1 shows where an unexpected error comes from."""
    keep_freed_memory()
    # Processes that joblib starts load it again, and would repeat that /dev/shm is full.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:joblib._multiprocessing_helpers")
    try:
        app()
    except Exception as error:
        if was_interrupted(error):
            leave()
        if os.environ.get("CELLPREP_TRACEBACK"):
            raise
        sys.unraisablehook = _drop  # what libraries left half made fails again while it is cleared away
        warnings.simplefilter("ignore")
        with suppress(OSError):  # of standard error
            typer.echo(f"error: {described(error)}", err=True)
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _drop_output()
        sys.exit(1)
    finally:  # all is done and told; Ctrl-C while Python leaves would be a traceback, or a death by the signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
