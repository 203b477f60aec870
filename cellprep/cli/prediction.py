"""Commands for predicting instances and bundling weights."""

from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from cellprep.cli.declare import Command, command
from cellprep.cli.words import free, need_torch, tell, tell_next
from cellprep.core.decode.typed import DecoderOptions
from cellprep.errors import UsageError
from cellprep.learn.prediction.options import (
    DEFAULT_WEIGHTS,
    SHIPPED,
    MaskOptions,
    OutputOptions,
    PredictionOptions,
    SemsegWeights,
    known_classes,
)
from cellprep.learn.settings import ByClass, Decoder, MinArea
from cellprep.system.options import Only, Quiet


class ListsWeights(Command):
    """A command that lists the available weights if `--weights` has no value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, or list the available weights."""
        unnamed = (
            name == "--weights" and (not value or value[0] == "-") for name, value in pairwise([*self.named(args), ""])
        )
        if not ctx.resilient_parsing and any(unnamed):  # parsing is resilient during shell completion
            need_torch("--weights", quiet=True)
            from cellprep.learn.prediction.at_hand import list_weights

            typer.echo("\n".join(["error: --weights needs a value; available weights:", *list_weights()]), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)


_OF_PACKAGE = f"the name of a bundled model ({', '.join(SHIPPED)})"
_WEIGHTS = f"Weights of a wn, a bundle, the folder of a run, or {_OF_PACKAGE}; repeat it for those of a dn and a wtn"
_UNNAMED = "Without a value, lists the available weights."


@command("predict", cls=ListsWeights, writes=("out", "maps", "measure"), folders=("out", "maps"))
def predict_command(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders of them, quoted globs, or a store; by default the images of --data or "
            "data.zarr, or with the weights of a run its validation images.",
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write; it must be new or empty. By default predictions, with a number appended if it "
            "exists.",
            rich_help_panel="Output",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help=f"{_WEIGHTS}; by default {DEFAULT_WEIGHTS}. {_UNNAMED}", rich_help_panel="Weights"),
    ] = None,
    only: Only = (),
    masks: MaskOptions,
    outputs: OutputOptions,
    measure: Annotated[
        Path | None,
        typer.Option(
            help="Table to write with measures of the cells, as in `cellprep measure`: .csv, .tsv or .parquet.",
            rich_help_panel="Output",
        ),
    ] = None,
    options: PredictionOptions,
) -> None:
    """Predict the cells of images with trained networks.

    By default, the bundled model for fluorescent nuclei is used. Your own weights also need a mask of the cells: from
    a bundle with a semseg, or from `--semseg-weights`, `--masks` or `--data`. A dn alone predicts vectors instead of
    cells. The other images are predicted even if some fail. `cellprep evaluate` scores the output.

    Example: `cellprep predict images/ --out predictions`
    """
    need_torch("cellprep predict", options.quiet)
    from cellprep.learn import predict
    from cellprep.learn.prediction.at_hand import DEFAULT_STORE
    from cellprep.workflows.predict_and_measure import predict_and_measure

    if masks.semseg_weights and not weights:
        raise UsageError(f"--semseg-weights requires --weights: give both, or neither to use {DEFAULT_WEIGHTS}")
    given = weights or [DEFAULT_WEIGHTS]
    how: dict[str, Any] = {"only": only, "outputs": outputs, "options": options, **asdict(masks)}
    if measure:
        measured = predict_and_measure(images or None, measure, out, given, **how)
        report = measured.prediction
        tell(measured, options.quiet)
    else:
        report = predict(images or None, out, given, **how)
        tell(report, options.quiet)
    if report.vectors or not report.images:
        return
    if not images:  # images of a store, whose true cells are known
        tell_next(options.quiet, "evaluate", report.out, masks.data or DEFAULT_STORE, "--common")
    elif not measure:
        folder = ["--images", images[0]] if len(images) == 1 and Path(images[0]).is_dir() else []
        tell_next(options.quiet, "measure", report.out, *folder, *free("--out", "cells.csv"))


@command("bundle", cls=ListsWeights, writes=("out",))
def bundle_command(
    weights: Annotated[list[str], typer.Option("--weights", help=f"{_WEIGHTS}. {_UNNAMED}", rich_help_panel="Weights")],
    out: Annotated[Path, typer.Option(help="File to write.", rich_help_panel="Output")],
    semseg_weights: SemsegWeights = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write float16: half the size, with 3 digits per weight.")
    ] = False,
    decoder: Decoder = None,
    decoder_options: DecoderOptions = MappingProxyType({}),
    min_area: MinArea = None,
    by_class: ByClass = MappingProxyType({}),
    quiet: Quiet = False,
) -> None:
    """Combine weights that belong together in one file for `predict --weights`.

    Example: `cellprep bundle --weights wn.safetensors --semseg-weights semseg.safetensors --out cells.safetensors`
    """
    need_torch("cellprep bundle", quiet)
    from cellprep.learn import load_bundle, save_bundle, with_decoding

    bundle = load_bundle(weights, semseg_weights)
    known_classes(by_class, bundle.types)
    bundle = with_decoding(bundle, bundle.decoding.changed(decoder, min_area, decoder_options, by_class))
    save_bundle(out, bundle, half=half)
    if not quiet:
        typer.echo(f"{out}: {', '.join(bundle.names)}, {out.stat().st_size / 1e6:,.1f} MB", err=True)
