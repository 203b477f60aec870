"""Commands on stores."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import JSON, Pictures, StorePath, Worst
from cellprep.cli.words import print_json, show, show_worst, tell
from cellprep.commands.evaluate import refuse_pictures
from cellprep.commands.export import EXPORTERS, export_labels
from cellprep.commands.fit_bins import fit_bins
from cellprep.commands.info import describe_store
from cellprep.commands.preview import PreviewOptions, preview_store
from cellprep.commands.roundtrip import RoundtripOptions, draw_worst_decoded, roundtrip
from cellprep.commands.verify import verify_store
from cellprep.errors import UsageError
from cellprep.store import open_store
from cellprep.system.places import as_place


@command("info")
def info_command(store: StorePath, *, as_json: JSON = False, given: Annotated[dict[str, Any], describe_store]) -> None:
    """Describe a store: images, cells, recipe, source, size, and whether it is complete.

    Example: `cellprep info data.zarr`
    """
    info = describe_store(store, **given)
    if as_json:
        print_json(info.to_dict())
    else:
        typer.echo("\n".join(info.lines()))
    tell(info, given["quiet"])


@command("preview", writes=("out",))
def preview_command(
    store: StorePath,
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg, .pdf or .svg.")],
    options: PreviewOptions,
) -> None:
    """Draw images of a store with all their targets, or many images with outlined cells.

    Example: `cellprep preview data.zarr --out preview.png`
    """
    tell(preview_store(store, out, options), options.quiet)


@command("verify")
def verify_command(store: StorePath, *, as_json: JSON = False, given: Annotated[dict[str, Any], verify_store]) -> None:
    """Verify that every image of a store is intact and its arrays agree, and list all faults.

    Example: `cellprep verify data.zarr`
    """
    report = verify_store(store, **given)
    if as_json:
        print_json(report.to_dict())
    tell(report, given["quiet"])


@command("fit-bins", writes=("out",))
def fit_bins_command(
    store: StorePath,
    *,
    out: Annotated[Path, typer.Option(help="JSON file to write, for `build-targets --bins`.")] = Path("bins.json"),
    given: Annotated[dict[str, Any], fit_bins],
) -> None:
    """Fit energy bins to the cells of a store, if their sizes do not suit the bins `sartorius`.

    Every bin is a distance that occurs. `distances` takes the lowest distances, leaves out those close to the previous
    one, and ends with wide steps up to the largest. `quantiles` gives all levels the same number of cell pixels.

    Example: `cellprep fit-bins data.zarr --levels 17 --out bins.json`
    """
    tell(fit_bins(store, out, **given), given["quiet"])


@command("roundtrip", writes=("pictures",), folders=("pictures",))
def roundtrip_command(
    store: Annotated[
        Path,
        typer.Argument(
            parser=as_place, metavar="STORE", help="Store of targets, such as data.zarr; with --targets any SOURCE."
        ),
    ],
    options: RoundtripOptions,
    worst: Worst = 0,
    pictures: Pictures = Path("worst"),
    as_json: JSON = False,
) -> None:
    """Decode the targets of a store, and score the result against its labels: an upper bound for networks.

    The table has Kaggle's mean precision by decoder and cell type, and the errors of each decoder. With --targets, it
    compares segmentation methods on annotations in any format: the upper bound of each for these cells.

    Example: `cellprep roundtrip data.zarr`
    """
    if worst and options.targets:
        raise UsageError("--worst draws the results of decoders, not of --targets: leave one of them out")
    if worst:
        refuse_pictures(pictures)
    opened = store if options.targets else open_store(store)
    report = roundtrip(opened, options)
    show(report, as_json, options.quiet)
    draw = partial(draw_worst_decoded, report, opened, worst, pictures, options)
    show_worst(report, as_json, options.quiet, worst, draw)
    tell(report, options.quiet)


@command("export", writes=("out",), folders=("out",))
def export_command(
    store: StorePath,
    to: Annotated[
        str,
        typer.Option(help=f"Format to write: {', '.join(EXPORTERS)}.", autocompletion=lambda: list(EXPORTERS)),
    ],
    out: Annotated[
        Path,
        typer.Option(help="File to write (kaggle-csv, coco, coco-polygons) or folder (all others); it must not exist."),
    ],
    given: Annotated[dict[str, Any], export_labels],
) -> None:
    """Export the labels of a store to a format that other tools read.

    The other images are exported even if some fail. The output appears when it is complete.

    Example: `cellprep export data.zarr --to coco --out labels.json`
    """
    tell(export_labels(store, to, out, **given), given["quiet"])
