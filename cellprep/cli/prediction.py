"""Commands that predict instances, and put weights together for it."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cellprep.cli.door import app
from cellprep.cli.options import DecoderOptions, Device, Orientation, Precision, Quiet, Version, choice
from cellprep.cli.words import tell
from cellprep.core.decode import DECODERS, parse_options
from cellprep.errors import UsageError
from cellprep.formats.writers import EXPORTERS
from cellprep.learn import require_torch
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, OutputOptions, PredictionOptions
from cellprep.system.places import as_place


class _ListsWeights(TyperCommand):
    """A command that tells which weights are at hand when `--weights` names none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        unnamed = (name == "--weights" and (not value or value[0] == "-") for name, value in pairwise([*args, ""]))
        if not ctx.resilient_parsing and any(unnamed):  # as it is when a shell asks how the line may go on
            require_torch("--weights")
            from cellprep.learn.prediction.at_hand import list_weights

            typer.echo("\n".join(["error: --weights needs a name; at hand:", *list_weights()]), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)


WeightFiles = Annotated[
    list[str],
    typer.Option(
        "--weights",
        help="Weights of a wn, or a bundle, or the folder of a run; twice for those of a dn and a wtn. "
        "Without a name, tells which are at hand.",
    ),
]
SemsegWeights = Annotated[Path | None, typer.Option(help="Weights of a semseg, which tells where cells and walls are.")]
Decoder = Annotated[str | None, choice("Decoder; the one that the weights name unless given", *DECODERS)]
MinArea = Annotated[
    int | None, typer.Option(help="Least area of an instance, in pixels; what the weights say unless given.")
]


@app.command("predict", cls=_ListsWeights)
def predict_command(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders of them, quoted globs, or a store; unless given, the images of --data or "
            "data.zarr, and of a run those that it was validated on.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write; it must not exist, or be empty. Unless given predictions, or with a number behind "
            "it that is free."
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of a wn, or a bundle, or the folder of a run; twice for those of a dn and a wtn; "
            f"{DEFAULT_WEIGHTS} unless given. Without a name, tells which are at hand."
        ),
    ] = None,
    semseg_weights: SemsegWeights = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="SOURCE",
            help="Label or mask images, named by id, or other annotations, which tell where cells are.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="STORE",
            help="Store, or its URL, whose true masks tell where cells are; without IMAGES the store of these.",
        ),
    ] = None,
    orientation: Orientation = None,
    to: Annotated[list[str] | None, choice("Format to write, repeatable; label-tiff unless given", *EXPORTERS)] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Zarr to write, with semseg, uvec and energy of every image.")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the outlines of instances onto each image, too.")
    ] = False,
    decoder: Decoder = None,
    decoder_option: DecoderOptions = None,
    min_area: MinArea = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Look at each image in its eight flips and turns, and take the mean.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "float32",
    tile_size: Annotated[int, typer.Option(help="Longest side of what a network sees at once, in pixels.")] = 1024,
    batch_size: Annotated[int, typer.Option(help="Number of tiles that a network sees at once.")] = 1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Predict the cells of images, by networks that were trained.

    Without `--weights`, those for fluorescent nuclei count, which come with the package. Of your own weights,
    `--semseg-weights`, `--masks` or `--data` tells where cells are, or a bundle that holds a semseg. A dn alone gives
    vectors instead of cells. An image that fails stops no other. `cellprep evaluate` reads what is written.

    Example: `cellprep predict images/ --out predictions`
    """
    require_torch("cellprep predict")
    from cellprep.learn import predict

    if semseg_weights and not weights:
        raise UsageError(f"--semseg-weights goes with --weights: give both, or neither for {DEFAULT_WEIGHTS}")
    outputs = OutputOptions(tuple(to or ("label-tiff",)), maps, overlay)
    tuning = parse_options(decoder_option or ())
    options = PredictionOptions(
        device, precision, tta, tile_size, batch_size, decoder, min_area, quiet, tuning, orientation
    )
    report = predict(
        images or None,
        weights or [DEFAULT_WEIGHTS],
        out,
        semseg_weights=semseg_weights,
        masks=masks,
        data=data,
        outputs=outputs,
        options=options,
    )
    tell(report, quiet)


@app.command("bundle", cls=_ListsWeights)
def bundle_command(
    weights: WeightFiles,
    out: Annotated[Path, typer.Option(help="File to write.")],
    semseg_weights: SemsegWeights = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write float16: half the bytes, and 3 digits of each weight.")
    ] = False,
    decoder: Decoder = None,
    decoder_option: DecoderOptions = None,
    min_area: MinArea = None,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Put weights that belong together into one file, which `predict --weights` takes alone.

    Example: `cellprep bundle --weights wn.safetensors --semseg-weights semseg.safetensors --out cells.safetensors`
    """
    require_torch("cellprep bundle")
    from cellprep.learn import load_bundle, save_bundle, with_decoding

    bundle = load_bundle(weights, semseg_weights)
    bundle = with_decoding(bundle, bundle.decoding.changed(decoder, min_area, parse_options(decoder_option or ())))
    save_bundle(out, bundle, half=half)
    if not quiet:
        names = ", ".join(part.settings.name for part in bundle.parts)
        typer.echo(f"{out}: {names}, {out.stat().st_size / 1e6:,.1f} MB", err=True)
