"""The door: the application that commands are hung into, and where errors leave."""

import errno
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from cellprep.cli.options import Version
from cellprep.errors import CellprepError, UsageError
from cellprep.executor import keep_freed_memory
from cellprep.wording import printable

__all__ = ["app", "main"]

#: What a machine refuses at any place, not least to standard output, and how it may be helped.
_REFUSALS = {
    errno.ENOSPC: "make room where it writes, be it standard output or /dev/shm",
    errno.EFBIG: "raise the limit of files' sizes (`ulimit -f`)",
    errno.EMFILE: "raise the number of files that may be open (`ulimit -n`)",
    errno.ENFILE: "wait until other programs have closed files",
    errno.EAGAIN: "raise the number of processes (`ulimit -u`), or give fewer with --jobs",
    errno.EROFS: "let it write there, be it to /dev/shm",
}


class _Door(TyperGroup):
    """Where errors leave: one line each, no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
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


def _described(error: Exception) -> str:
    """Say what the machine refuses, and what may be done about it; else that the error was not expected."""
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):  # not of a process to start
        return (
            "standard output is full, and of a kind that is not waited for (O_NONBLOCK): send it to a file, or `| cat`"
        )
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        place = f"{printable(str(error.filename))}: " if error.filename else ""
        return f"{place}{error.strerror}: {_REFUSALS[error.errno]}, and run the same command again"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {what}; please report it, with what CELLPREP_TRACEBACK=1 shows"


def _drop_output() -> None:
    """Send what waits for standard output nowhere: Python would try again when it ends, and tell of it in its way."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def main() -> None:
    """Run the command ``cellprep``; CELLPREP_TRACEBACK=1 shows where an unexpected error comes from."""
    keep_freed_memory()
    try:
        app()
    except Exception as error:
        if os.environ.get("CELLPREP_TRACEBACK"):
            raise
        with suppress(OSError):  # of standard error
            typer.echo(f"error: {_described(error)}", err=True)
        if isinstance(error, BlockingIOError):
            _drop_output()
        sys.exit(1)
    finally:  # all is done and told; Ctrl-C while Python leaves would be a traceback, or a death by the signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # An interrupt that went through code made from text, as dataclasses are, would let Python die by the signal
        # however it was caught, unless other such code ended well since.
        exec("")
