"""Commands that learn."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.declare import command
from cellprep.cli.words import tell
from cellprep.learn import require_torch
from cellprep.learn.training.options import ALL, ALL_FOLDS, TrainOptions
from cellprep.store import open_store
from cellprep.system.places import as_place


@command("train")
def train_command(
    context: typer.Context,
    *,
    data: Annotated[
        Path,
        typer.Option(parser=as_place, metavar="STORE", help="Store to learn from, with images; it may be a URL."),
    ] = Path("data.zarr"),
    given: Annotated[dict[str, Any], TrainOptions],
) -> None:
    """Train a network on a store: `semseg`, then `dn` and `wtn`, then `wn` from both; or `all` of them.

    Interrupted at any moment, the same command with `--resume` goes on, to the same weights.

    Example: `cellprep train dn --data data.zarr`
    """
    network, out, resume, quiet = given.pop("network"), given.pop("out"), given.pop("resume"), given["quiet"]
    if resume:  # the run's own options hold where nothing is typed
        given = {name: value for name, value in given.items() if _is_typed(context, name)}
    require_torch("cellprep train")
    from cellprep.learn.training import run, runs
    from cellprep.workflows.train_all import train_all
    from cellprep.workflows.train_folds import train_folds

    store = open_store(data)
    if given.get("fold") == ALL_FOLDS:
        del given["fold"]
        tell(train_folds(store, network, out, resume=resume, **given), quiet)
    elif network == ALL:
        tell(train_all(store, out, resume=resume, **given), quiet)
    elif resume:
        options = runs.options_of(out or runs.choose_folder(network, resume=True), network, given)
        tell(run.train(store, options), quiet)
    else:
        tell(run.train(store, network, out=out, **given), quiet)


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
