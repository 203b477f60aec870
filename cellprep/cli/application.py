"""The application that contains the commands, and that reports each error as one line."""

import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info

from cellprep._version import __version__
from cellprep.errors import CellprepError, UsageError
from cellprep.system.memory import keep_freed_memory
from cellprep.system.starting import described, end_of_start, leave, was_interrupted

#: The commands in the order of the help: the module of each, which is loaded when the command is used, and its summary,
#: which the help shows without loading any module.
COMMANDS = {
    "build-targets": ("build", "Build a store of training targets from annotations."),
    "demo": ("build", "Generate small data sets, and build and draw the targets of one of them."),
    "convert": (
        "convert",
        "Convert annotations or predictions to a format that other tools open.",
    ),
    "train": (
        "learning",
        "Train a network on a store: `semseg`, `dn`, `wtn`, then `wn` from the last two; or `all` of them.",
    ),
    "finetune": (
        "finetune",
        "Fine-tune the networks of a bundle on your images, and score held-out images before and after.",
    ),
    "predict": ("prediction", "Predict the cells of images with trained networks."),
    "bundle": ("prediction", "Combine weights that belong together in one file for `predict --weights`."),
    "tune": (
        "learning",
        "Find the decoder and the options that recover the cells of a store best from predicted maps.",
    ),
    "measure": (
        "measure",
        "Measure sizes, shapes, neighbours and intensities of cells: a table with a row for each cell.",
    ),
    "evaluate": (
        "scores",
        "Score predicted cells against true cells: metrics of Kaggle, StarDist and COCO, and counts of errors.",
    ),
    "check": (
        "sources",
        "Find flaws in annotations: duplicates, hidden cells, broken outlines, unusual sizes, invalid masks or images.",
    ),
    "report": (
        "sources",
        "Write a report on annotations, a store, predictions or a training: one self-contained HTML file.",
    ),
    "split": (
        "sources",
        "Split images into folds that are balanced in cell types and in numbers of cells.",
    ),
    "info": ("stores", "Describe a store: images, cells, recipe, source, size, and whether it is complete."),
    "preview": ("stores", "Draw images of a store with all their targets, or many images with outlined cells."),
    "verify": (
        "stores",
        "Verify that every image of a store is intact and its arrays agree, and list all faults.",
    ),
    "fit-bins": (
        "stores",
        "Fit energy bins to the cells of a store, if their sizes do not suit the bins `sartorius`.",
    ),
    "roundtrip": (
        "stores",
        "Decode the targets of a store, and score the result against its labels: an upper bound for networks.",
    ),
    "export": ("stores", "Export the labels of a store to a format that other tools read."),
    "run": ("config", "Run the commands in a file, one after the other."),
    "config": (
        "config",
        "Write a file of options for `cellprep run`: every option with its help and default, commented out.",
    ),
}


class _Commands(Mapping[str, Any]):
    """The commands by name, each made on first use."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            import_module(f"cellprep.cli.{COMMANDS[name][0]}")  # adds its commands to the application
            (declared,) = (command for command in app.registered_commands if command.name == name)
            self._made[name] = get_command_from_info(
                declared,
                pretty_exceptions_short=app.pretty_exceptions_short,
                rich_markup_mode=app.rich_markup_mode,
            )
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Application(TyperGroup):
    """The group of commands, which reports each error as one line without a traceback."""

    commands: Mapping[str, Any]  # type: ignore[assignment]  # read-only

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.commands = {name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()}
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        found = super().resolve_command(ctx, args)
        end_of_start()  # the command is loaded
        return found

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CellprepError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
        except KeyboardInterrupt:
            typer.echo(f"interrupted: all files written so far are complete; {self._how_to_go_on(ctx)}", err=True)
            raise typer.Exit(130) from None

    def _how_to_go_on(self, ctx: Any) -> str:
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        resumes = command is not None and any(option.name == "resume" for option in command.params)
        return "to continue, run the same command with --resume" if resumes else "run the same command again"


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cellprep {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_show_version, is_eager=True, help="Show the version and exit.", rich_help_panel="Run"
    ),
]

app = typer.Typer(
    name="cellprep",
    cls=_Application,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda flag: flag.replace("_", "-"),  # as other tools write them
    },
)


@app.callback()
def cellprep(version: Version = False) -> None:
    """Turn instance annotations of cells into training targets for the Deep Watershed Transform."""


def _drop_output() -> None:
    """Discard buffered output, as Python would try to write it again at exit, and report the failure."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _drop(_: object) -> None:
    """Ignore an error that cannot be raised."""


def main() -> None:
    """Run the command ``cellprep``; CELLPREP_TRACEBACK=1 shows the traceback of an unexpected error."""
    keep_freed_memory()
    # Each process of joblib loads it again, and would repeat the warning that /dev/shm is full.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:joblib._multiprocessing_helpers")
    try:
        app()
    except Exception as error:
        if was_interrupted(error):
            leave()
        if os.environ.get("CELLPREP_TRACEBACK"):
            raise
        sys.unraisablehook = _drop  # objects that libraries left half made fail again on deletion
        warnings.simplefilter("ignore")
        with suppress(OSError):  # of standard error
            typer.echo(f"error: {described(error)}", err=True)
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _drop_output()
        sys.exit(1)
    finally:  # all is done; Ctrl-C while Python exits would give a traceback, or kill it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()  # otherwise Python looks for reference cycles in all libraries, a fifth of a short command's time
