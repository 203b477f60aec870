"""The command that converts annotations and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.door import app
from cellprep.cli.options import (
    Crowds,
    Format,
    Jobs,
    Orientation,
    Overlap,
    Quiet,
    RLEOrder,
    SourcePath,
    Version,
    choice,
)
from cellprep.cli.words import tell
from cellprep.commands.convert import ConvertOptions, convert
from cellprep.errors import UsageError
from cellprep.formats.readers import open_prediction, open_source
from cellprep.formats.writers import EXPORTERS
from cellprep.system.places import as_place


@app.command("convert")
def convert_command(
    source: SourcePath,
    to: Annotated[str, choice("Format to write", *EXPORTERS)],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write (kaggle-csv, coco, coco-polygons), or folder (all others). It must not exist."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="FOLDER",
            help="Folder or URL of image files, named by id: for sizes and names, and to be taken along by formats "
            "that do that. Those that SOURCE has are, too.",
        ),
    ] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="Take no images along.")] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            parser=as_place, metavar="COCO", help="COCO JSON that lists the images, if SOURCE is COCO results."
        ),
    ] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Annotations and images to leave out, as `cellprep check --out` writes them."),
    ] = None,
    overlap: Overlap = "smaller-on-top",
    simplify: Annotated[
        float,
        typer.Option(
            metavar="PIXELS", min=0, help="How far outlines may be from the exact ones, to have fewer corners."
        ),
    ] = 0.0,
    folds: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Folds from `cellprep split`, for the parts of yolo.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="The fold in it that is to validate on.")] = None,
    orientation: Orientation = None,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Convert annotations or predictions from any format that is read to any that other tools open.

    Cells that overlap stay as they are where the format can hold that. What it cannot hold is counted. An image that
    fails stops no other. What is written comes into its place when it is whole.

    Example: `cellprep convert train.csv --to geojson --out outlines`
    """
    if images is not None and no_images:
        raise UsageError("--images and --no-images contradict each other: give one of them")
    options = ConvertOptions(
        False if no_images else images, exclude, overlap, simplify, folds, fold, orientation, jobs, quiet
    )
    if truth is None:
        annotations = open_source(source, format, rle_order, crowds)
    else:
        annotations = open_prediction(source, open_source(truth), format, rle_order, crowds)
    tell(convert(annotations, to, out, options), quiet, *annotations.notes)
