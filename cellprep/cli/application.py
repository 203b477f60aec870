"""The application that commands are hung into, and that errors leave as one line."""

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

#: The commands in the order of the help: the module that declares each, which is loaded when the command is asked for,
#: and what it does, which the help tells without loading any.
COMMANDS = {
    "build-targets": ("build", "Build training targets from annotations: one store, an image at a time, in parallel."),
    "demo": ("build", "Generate small data sets, build the targets of one, and draw a picture of them."),
    "convert": (
        "convert",
        "Convert annotations or predictions from any format that is read to any that other tools open.",
    ),
    "train": (
        "learning",
        "Train a network on a store: `semseg`, then `dn` and `wtn`, then `wn` from both; or `all` of them.",
    ),
    "finetune": (
        "finetune",
        "Train the networks of a bundle on with your images, and score held-out images before and after.",
    ),
    "predict": ("prediction", "Predict the cells of images, by networks that were trained."),
    "bundle": ("prediction", "Put weights that belong together into one file, which `predict --weights` takes alone."),
    "tune": (
        "learning",
        "Tune how predicted maps are decoded: the decoder and its options that bring back the cells of a store best.",
    ),
    "measure": (
        "measure",
        "Measure cells: a table with a row for each, of sizes, shapes, neighbours and intensities.",
    ),
    "evaluate": (
        "scores",
        "Score predicted cells against true ones: Kaggle's, StarDist's and COCO's metrics, and counts of errors.",
    ),
    "check": (
        "sources",
        "Look for flaws in annotations: duplicates, hidden cells, broken outlines, odd sizes, faulty masks and images.",
    ),
    "report": (
        "sources",
        "Make a page that shows annotations, a store, predictions or a training: one HTML file, which loads nothing.",
    ),
    "split": (
        "sources",
        "Split images into folds, each with its share of every cell type and of images with few and many cells.",
    ),
    "info": ("stores", "Tell what a store holds: images, cells, recipe, source, size, and whether it is complete."),
    "preview": ("stores", "Draw images of a store with all their targets, or many images with their cells outlined."),
    "verify": (
        "stores",
        "Verify that every image of a store is whole and its arrays agree; name what is broken, and where.",
    ),
    "fit-bins": (
        "stores",
        "Fit energy bins to the cells of a store, for cells of other sizes than the bins sartorius are made for.",
    ),
    "roundtrip": (
        "stores",
        "Decode the targets of a store, and score the cells against its labels: what is lost before any network.",
    ),
    "export": ("stores", "Export the labels of a store, in a format that other tools read."),
    "run": ("config", "Run the commands of a file, in its order."),
    "config": (
        "config",
        "Begin a file of options for `cellprep run`: every option with its help and default, commented out.",
    ),
}


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            import_module(f"cellprep.cli.{COMMANDS[name][0]}")  # which hangs its commands into the application
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
    """The group of commands, which turns each error into one line without a traceback."""

    commands: Mapping[str, Any]  # type: ignore[assignment]  # none is added

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
        return "the same command with --resume goes on" if resumes else "run the same command again"


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
        gc.freeze()  # else Python looks for cycles in all that libraries are made of, a fifth of a short command's time
