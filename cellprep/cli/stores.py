"""Commands on stores."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.door import app
from cellprep.cli.options import JSON, DecoderOptions, Jobs, Pictures, Quiet, Version, Worst, choice
from cellprep.cli.words import print_json, tell
from cellprep.commands.evaluate import refuse_pictures
from cellprep.commands.export import EXPORTERS, export_labels
from cellprep.commands.fit_bins import fit_bins
from cellprep.commands.info import describe_store
from cellprep.commands.preview import Crop, PreviewOptions, preview_store
from cellprep.commands.roundtrip import RoundtripOptions, draw_worst_decoded, roundtrip
from cellprep.commands.verify import verify_store
from cellprep.core.decode import DECODERS, parse_options
from cellprep.core.targets import BIN_METHODS
from cellprep.store import open_store
from cellprep.system.places import as_place

StorePath = Annotated[
    Path, typer.Argument(parser=as_place, metavar="STORE", help="Store of targets, such as data.zarr; it may be a URL.")
]


@app.command("info")
def info_command(store: StorePath, as_json: JSON = False, quiet: Quiet = False, version: Version = False) -> None:
    """Tell what a store holds: images, cells, recipe, source, size, and whether it is complete.

    Example: `cellprep info data.zarr`
    """
    info = describe_store(store, quiet=quiet)
    if as_json:
        print_json(info.to_dict())
    else:
        typer.echo("\n".join(info.lines()))
    tell(info, quiet)


@app.command("preview")
def preview_command(
    store: StorePath,
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg, .pdf or .svg.")],
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="ID", help="Image to draw, repeatable; else the first."),
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="Y,X,H,W", help="Part to draw, in pixels; vectors are arrows there.")
    ] = None,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Draw the outlines in many images: all unless --image names some.")
    ] = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Draw images of a store with all their targets, or many images with their cells outlined.

    Example: `cellprep preview data.zarr --out preview.png`
    """
    options = PreviewOptions(image or (), Crop.parse(crop) if crop else None, contact_sheet, quiet)
    tell(preview_store(open_store(store), out, options), quiet)


@app.command("verify")
def verify_command(
    store: StorePath,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Remove broken images, so that build-targets makes them again; the exit code stays 1."
        ),
    ] = False,
    jobs: Jobs = -1,
    as_json: JSON = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Verify that every image of a store is whole and its arrays agree; name what is broken, and where.

    Example: `cellprep verify data.zarr`
    """
    report = verify_store(store, jobs=jobs, repair=repair, quiet=quiet)
    if as_json:
        print_json(report.to_dict())
    tell(report, quiet)


@app.command("fit-bins")
def fit_bins_command(
    store: StorePath,
    out: Annotated[Path, typer.Option(help="JSON file to write, for `build-targets --bins`.")] = Path("bins.json"),
    levels: Annotated[int, typer.Option(help="Number of energy levels, level 0 among them: 2 to 256.")] = 17,
    method: Annotated[str, choice("How to choose the bins", *BIN_METHODS)] = "distances",
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Fit energy bins to the cells of a store, for cells of other sizes than the bins sartorius are made for.

    Every bin is a distance that occurs. `distances` takes the lowest ones, leaves out those near the one before, and
    ends with wide steps to the largest; `quantiles` gives the levels equal shares of the cells' pixels.

    Example: `cellprep fit-bins data.zarr --levels 17 --out bins.json`
    """
    tell(fit_bins(open_store(store), out, levels=levels, method=method, jobs=jobs, quiet=quiet), quiet)


@app.command("roundtrip")
def roundtrip_command(
    store: StorePath,
    decoder: Annotated[list[str] | None, choice("Decoder to score, repeatable; all unless given", *DECODERS)] = None,
    decoder_option: DecoderOptions = None,
    without_walls: Annotated[
        bool, typer.Option("--without-walls", help="Give the decoders no walls: they take them from the energy.")
    ] = False,
    worst: Worst = 0,
    pictures: Pictures = Path("worst"),
    as_json: JSON = False,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Decode the targets of a store again, and score them against its labels: what is lost before any network.

    The table has Kaggle's mean precision by decoder and cell type, and the errors of each decoder.

    Example: `cellprep roundtrip data.zarr`
    """
    if worst:
        refuse_pictures(pictures)
    tuning = parse_options(decoder_option or ())
    options = RoundtripOptions(tuple(decoder or ()), not without_walls, jobs, quiet, tuning)
    opened = open_store(store)
    report = roundtrip(opened, options)
    if as_json:
        print_json(report.to_dict())
    elif not quiet and (table := report.table()):
        typer.echo("\n".join(table))
    drawn = draw_worst_decoded(report, opened, worst, pictures, options) if worst else []
    if drawn and not (as_json or quiet):
        typer.echo("\n".join(["", *report.table_of_worst(worst)]))
    tell(report, quiet)


@app.command("export")
def export_command(
    store: StorePath,
    to: Annotated[str, choice("Format to write", *EXPORTERS)],
    out: Annotated[
        Path,
        typer.Option(help="File to write, or folder for a file per image (label-tiff, geojson); it must not exist."),
    ],
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Export the labels of a store, in a format that other tools read.

    An image that fails stops no other. What is written comes into its place when it is whole.

    Example: `cellprep export data.zarr --to coco --out labels.json`
    """
    tell(export_labels(open_store(store), to, out, jobs=jobs, quiet=quiet), quiet)
