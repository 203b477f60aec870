"""The command that measures cells."""

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
    Version,
)
from cellprep.cli.words import tell
from cellprep.commands.measure import MeasureOptions, measure_to_file
from cellprep.core.measures import DEFAULT_PROPERTIES, PROPERTIES
from cellprep.formats.readers import open_source
from cellprep.system.output import refuse_to_overwrite
from cellprep.system.places import as_place


@app.command("measure")
def measure_command(
    source: Annotated[
        Path,
        typer.Argument(
            parser=as_place,
            metavar="SOURCE",
            help="A store, predictions, label images, or annotations in any other format; it may be a URL.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.")] = Path("cells.csv"),
    images: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="FOLDER",
            help="Folder or URL of image files, named by id, to measure intensities in; those of SOURCE unless given.",
        ),
    ] = None,
    property: Annotated[  # noqa: A002
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Property to measure, repeatable: {', '.join(PROPERTIES)}. Unless given "
            f"{', '.join(name for name in DEFAULT_PROPERTIES if not PROPERTIES[name].of_pixels)} and, with images, all "
            "intensities.",
            autocompletion=lambda: list(PROPERTIES),
        ),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(help="Side of a pixel, in micrometres; what SOURCE says unless given.")
    ] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    orientation: Orientation = None,
    overlap: Overlap = "smaller-on-top",
    image: Annotated[
        list[str] | None, typer.Option(help="Id of an image to measure; repeatable. All unless given.")
    ] = None,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Measure cells: a table with a row for each, of sizes, shapes, neighbours and intensities.

    Names and values are those of scikit-image's regionprops_table. Where the size of a pixel is known, lengths and
    areas are in micrometres as well, in columns that end in _um and _um2.

    Example: `cellprep measure data.zarr --out cells.csv`
    """
    refuse_to_overwrite(out, source)
    options = MeasureOptions(
        images, tuple(property or ()), pixel_size, overlap, tuple(image or ()), jobs, quiet, orientation
    )
    known = open_source(source, format, rle_order, crowds)
    tell(measure_to_file(known, out, options), quiet, known.description, *known.notes)
