"""The command that converts annotations and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import SourcePath
from cellprep.cli.words import announced, tell
from cellprep.commands.convert import ConvertOptions, convert
from cellprep.formats.readers import SourceOptions, open_prediction
from cellprep.formats.writers import EXPORTERS
from cellprep.system.places import as_place


@command("convert", writes=("out",), folders=("out",))
def convert_command(
    source: SourcePath,
    *,
    to: Annotated[
        str,
        typer.Option(
            help=f"Format to write: {', '.join(EXPORTERS)}.",
            autocompletion=lambda: list(EXPORTERS),
            rich_help_panel="Output",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write (kaggle-csv, coco, coco-polygons) or folder (all others); it must not exist.",
            rich_help_panel="Output",
        ),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="COCO",
            help="COCO JSON that lists the images, if SOURCE is COCO results.",
            rich_help_panel="Annotations",
        ),
    ] = None,
    reading: SourceOptions,
    options: ConvertOptions,
) -> None:
    """Convert annotations or predictions to a format that other tools open.

    Cells keep their overlaps if the format can hold them. Features that it cannot hold are counted. The other images
    are converted even if some fail. The output appears when it is complete.

    Example: `cellprep convert train.csv --to geojson --out outlines`
    """
    if truth is None:
        annotations = reading.open(source)
    else:
        annotations = open_prediction(
            source,
            truth,
            reading.format,
            reading.rle_order,
            reading.crowds,
            reading.components,
            reading.partial,
            reading.category_map,
        )
    announced(annotations, options.quiet, out)
    tell(convert(annotations, to, out, options), options.quiet, *annotations.notes)
