"""Commands that learn."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import JSON
from cellprep.cli.words import need_torch, show, tell
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS
from cellprep.learn.prediction.tuning import TuneOptions
from cellprep.learn.training.options import ALL, ALL_FOLDS, TrainOptions
from cellprep.store import open_store
from cellprep.system.places import as_place


def _check_training(given: dict[str, Any]) -> None:
    """Refuse options of a single network that do not go together, unless those of the run hold as well."""
    if given["network"] != ALL and not given["resume"]:
        TrainOptions(**given)


@command("train", writes=("out",), folders=("out",), check=_check_training)
def train_command(
    context: typer.Context,
    *,
    data: Annotated[
        Path,
        typer.Option(
            parser=as_place,
            metavar="STORE",
            help="Store to learn from, with images; it may be a URL.",
            rich_help_panel="Data",
        ),
    ] = Path("data.zarr"),
    given: Annotated[dict[str, Any], TrainOptions],
) -> None:
    """Train a network on a store: `semseg`, then `dn` and `wtn`, then `wn` from both; or `all` of them.

    Interrupted at any moment, the same command with `--resume` goes on, to the same weights.

    Example: `cellprep train dn --data data.zarr`
    """
    network, out, resume, quiet = given.pop("network"), given.pop("out"), given.pop("resume"), given["quiet"]
    if resume:  # the run's own options hold where nothing is typed
        given = typed(context, given)
    need_torch("cellprep train", quiet)
    from cellprep.learn.training import run, runs
    from cellprep.workflows.train_all import train_all
    from cellprep.workflows.train_folds import train_folds

    store = open_store(data)
    if network == ALL:
        tell(train_all(store, out, resume=resume, **given), quiet)
    elif given.get("fold") == ALL_FOLDS:
        del given["fold"]
        tell(train_folds(store, network, out, resume=resume, **given), quiet)
    elif resume:
        options = runs.options_of(out or runs.choose_folder(network, resume=True), network, given)
        tell(run.train(store, options), quiet)
    else:
        tell(run.train(store, network, out=out, **given), quiet)


@command("tune")
def tune_command(
    *,
    data: Annotated[
        Path,
        typer.Option(
            parser=as_place,
            metavar="STORE",
            help="Store with images and their true cells; it may be a URL.",
            rich_help_panel="Data",
        ),
    ] = Path("data.zarr"),
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Weights as `cellprep predict` takes them, repeatable; {DEFAULT_WEIGHTS} unless given. Of trainings, "
            "the images that they were validated on are taken; else all of the store.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write: the weights, and a table of all that was tried.")],
    options: TuneOptions,
    as_json: JSON = False,
) -> None:
    """Tune how predicted maps are decoded: the decoder and its options that bring back the cells of a store best.

    Maps are predicted once; many ways of decoding are tried on few images, the best third of them on three times as
    many, and so on. The weights are written with the best one, unless it is no better on images that the choice did not
    see. Interrupted, the same command goes on.

    Example: `cellprep tune --data data.zarr --weights runs/all --out tuned`
    """
    need_torch("cellprep tune", options.quiet)
    from cellprep.workflows.tune import tune

    report = tune(data, out, weights or [DEFAULT_WEIGHTS], options)
    show(report, as_json, options.quiet)
    tell(report, options.quiet)


def typed(context: typer.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of options that were typed."""
    sources = {name: context.get_parameter_source(name) for name in given}
    return {name: given[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}
