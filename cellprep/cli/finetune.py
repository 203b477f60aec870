"""The command for fine-tuning."""

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
            help=f"Initial weights: a bundle, by name or path, or the folders of runs; by default {DEFAULT_WEIGHTS}. "
            "Without a value, lists the available weights.",
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
            help="Folder for the runs and for finetuned.safetensors; it must be new.",
            show_default="runs/finetune, with a number appended if it exists",
            rich_help_panel="Output",
        ),
    ] = None,
    only: OnlyNetworks = (),
    given: Annotated[dict[str, Any], TrainOptions, DECIDED_BY_WEIGHTS],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume the run in --out, or by default the latest one, with its own options.",
            rich_help_panel="Run",
        ),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Fine-tune the networks of a bundle on your images, and score held-out images before and after.

    The better weights are written to `finetuned.safetensors`. A report shows the images whose scores changed most.
    A single image is not held out. Resume an interrupted run with the same command and `--resume`.

    Example: `cellprep finetune --weights nuclei --data data.zarr --out runs/mine`
    """
    quiet = given["quiet"]
    need_torch("cellprep finetune", quiet)
    from cellprep.workflows.finetune import finetune

    report = finetune(data, out, weights, only=only, resume=resume, **typed(context, given))
    if report.tells:
        show(report, as_json, quiet)
    tell(report, quiet)
