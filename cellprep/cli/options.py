"""Options that commands share: the same name and the same meaning everywhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep._version import __version__
from cellprep.core.cells import OVERLAP_RULES
from cellprep.core.decode import DECODERS
from cellprep.core.rle import Order
from cellprep.formats.coco.crowds import Crowds as CrowdsAre
from cellprep.formats.images.orientation import Orientation as Turning
from cellprep.formats.readers import READERS
from cellprep.learn.settings import DEVICES, PRECISIONS
from cellprep.system.places import as_place


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cellprep {__version__}")
        raise typer.Exit


def choice(text: str, *names: str) -> Any:
    """Return an option that takes one of some names, and tells and completes them."""
    return typer.Option(help=f"{text}: {', '.join(names)}.", autocompletion=lambda: list(names))


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Overlap = Annotated[str, choice("Who gets pixels that several cells claim", *OVERLAP_RULES)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
Jobs = Annotated[int, typer.Option(help="Processes to work in; -1 for one per core.")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers do it, as tcp://host:8786, instead of --jobs."),
]
Data = Annotated[
    Path, typer.Option(parser=as_place, metavar="STORE", help="Store to learn from, with images; it may be a URL.")
]
Device = Annotated[str, choice("Where networks run; auto takes a GPU where there is one", *DEVICES)]
Precision = Annotated[
    str, choice("What networks compute in; auto is bfloat16 where the processor has it built in", *PRECISIONS)
]
DecoderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--decoder-option",
        metavar="NAME=VALUE",
        help="Option of the decoder, repeatable. Defaults are "
        + "; ".join(
            f"of {name} {', '.join(f'{option}={value:g}' for option, value in decoder.defaults().items())}"
            for name, decoder in DECODERS.items()
        )
        + ".",
    ),
]
Worst = Annotated[int, typer.Option(min=0, help="Number of images with the lowest scores to name and draw.")]
Pictures = Annotated[Path, typer.Option(help="Folder for the pictures of the worst images; it must be empty or new.")]


SourcePath = Annotated[
    Path,
    typer.Argument(
        parser=as_place,
        metavar="SOURCE",
        help="Annotations: Kaggle's CSV, COCO JSON, a folder of label images or of mask files, OME-Zarr, a store, or "
        "what QuPath (GeoJSON), LabelMe, YOLO, CVAT, Label Studio and VIA write; it may be a URL, such as "
        "s3://bucket/train.csv.",
    ),
]
Format = Annotated[str, choice("Format of SOURCE", "auto", *READERS)]
RLEOrder = Annotated[
    Order | None,
    typer.Option(
        help="How run-length masks in a CSV count pixels; by row unless given, but EncodedPixels by column. "
        "A wrong order is noticed, but not on square images."
    ),
]
Orientation = Annotated[
    Turning | None,
    typer.Option(
        help="Whether images are turned as their Orientation tag (EXIF) says; unless given, their "
        "annotations' size decides, and where it cannot they are."
    ),
]
Crowds = Annotated[
    CrowdsAre | None,
    typer.Option(
        help="What crowds (iscrowd 1) in COCO JSON are: regions to ignore, or cells. Regions to ignore unless given, "
        "but asked for if there is nothing else, as tools such as CVAT mark every mask so."
    ),
]
Components = Annotated[
    int | None,
    typer.Option(
        metavar="4|8",
        help="Take each connected piece of a label image or a mask as a cell, where it holds classes or all cells in "
        "one: 4 or 8 neighbours are connected. Each number is a cell unless given.",
    ),
]
