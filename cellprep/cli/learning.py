"""Commands for training and tuning."""

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
    """Refuse contradictory options of a single network, except if the run has options of its own."""
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
            help="Store with images to train on; it may be a URL.",
            rich_help_panel="Data",
        ),
    ] = Path("data.zarr"),
    given: Annotated[dict[str, Any], TrainOptions],
) -> None:
    """Train a network on a store: `semseg`, `dn`, `wtn`, then `wn` from the last two; or `all` of them.

    Resume an interrupted run with the same command and `--resume`; the resulting weights are the same.

    Example: `cellprep train dn --data data.zarr`
    """
    network, out, resume, quiet = given.pop("network"), given.pop("out"), given.pop("resume"), given["quiet"]
    if resume:  # the run has its own options
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
            help=f"Weights as in `cellprep predict`, repeatable; by default {DEFAULT_WEIGHTS}. The images are the "
            "validation images of trainings, or for other weights all images of the store.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write, with the weights and a table of all candidates.")],
    options: TuneOptions,
    as_json: JSON = False,
) -> None:
    """Find the decoder and the options that recover the cells of a store best from predicted maps.

    Maps are predicted once. Many candidates are scored on a few images, the best third of them on three times as many
    images, and so on. The weights are written with the best candidate if it is also better on images that were not used
    for the choice. Run the same command again to resume.

    Example: `cellprep tune --data data.zarr --weights runs/all --out tuned`
    """
    need_torch("cellprep tune", options.quiet)
    from cellprep.workflows.tune import tune

    report = tune(data, out, weights or [DEFAULT_WEIGHTS], options)
    show(report, as_json, options.quiet)
    tell(report, options.quiet)


def typed(context: typer.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the options given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in given}
    return {name: given[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}
