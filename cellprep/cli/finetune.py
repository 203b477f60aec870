"""The command that trains weights on with own images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.declare import command
from cellprep.cli.learning import typed
from cellprep.cli.options import JSON
from cellprep.cli.prediction import ListsWeights
from cellprep.cli.words import need_torch, show, tell
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS
from cellprep.learn.training.options import DECIDED_BY_WEIGHTS, OnlyNetworks, TrainOptions
from cellprep.system.places import as_place


@command("finetune", cls=ListsWeights, writes=("out",), folders=("out",))
def finetune_command(
    context: typer.Context,
    *,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Weights to begin with: a bundle, by name or path, or the folders of runs; {DEFAULT_WEIGHTS} unless "
            "given. Without a name, lists those at hand.",
            rich_help_panel="Network",
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            parser=as_place, metavar="STORE", help="Store of your images; it may be a URL.", rich_help_panel="Data"
        ),
    ] = Path("data.zarr"),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the runs and of finetuned.safetensors; it must be new.",
            show_default="runs/finetune, or with a number behind it",
            rich_help_panel="Output",
        ),
    ] = None,
    only: OnlyNetworks = (),
    given: Annotated[dict[str, Any], TrainOptions, DECIDED_BY_WEIGHTS],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with what is in --out, or the newest such folder, by its options.",
            rich_help_panel="Run",
        ),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Train the networks of a bundle on with your images, and score held-out images before and after.

    Of both, the better weights go into `finetuned.safetensors`. A page shows the images whose scores changed most. With
    a single image, none is held out. Interrupted at any moment, the same command with `--resume` goes on.

    Example: `cellprep finetune --weights nuclei --data data.zarr --out runs/mine`
    """
    quiet = given["quiet"]
    need_torch("cellprep finetune", quiet)
    from cellprep.workflows.finetune import finetune

    report = finetune(data, out, weights, only=only, resume=resume, **typed(context, given))
    if report.tells:
        show(report, as_json, quiet)
    tell(report, quiet)
