"""Arguments and options that commands share, and that the library does not have."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.system.places import as_place

#: Names of these options in other tools, by parameter.
ALIASES = {"weights": ("--model", "--pretrained-model"), "out": ("--output",)}

JSON = Annotated[bool, typer.Option("--json", help="Print only JSON to stdout.", rich_help_panel="Output")]
Worst = Annotated[
    int, typer.Option(min=0, help="Number of images with the lowest scores to list and draw.", rich_help_panel="Output")
]
Pictures = Annotated[
    Path,
    typer.Option(help="Folder for pictures of the worst images; it must be empty or new.", rich_help_panel="Output"),
]

SourcePath = Annotated[
    Path,
    typer.Argument(
        parser=as_place,
        metavar="SOURCE",
        help="Annotations: Kaggle's CSV, COCO JSON, a folder of label images or of mask files, OME-Zarr, a store, or "
        "annotations of QuPath (GeoJSON), LabelMe, YOLO, CVAT, Label Studio or VIA; it may be a URL, such as "
        "s3://bucket/train.csv.",
    ),
]
StorePath = Annotated[
    Path, typer.Argument(parser=as_place, metavar="STORE", help="Store of targets, such as data.zarr; it may be a URL.")
]
