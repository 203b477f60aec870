"""Arguments and options of the command line alone, which commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.system.places import as_place

#: What other tools call the options of the command line alone, by parameter.
ALIASES = {"weights": ("--model", "--pretrained-model"), "out": ("--output",)}

JSON = Annotated[
    bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.", rich_help_panel="Output")
]
Worst = Annotated[
    int, typer.Option(min=0, help="Number of images with the lowest scores to name and draw.", rich_help_panel="Output")
]
Pictures = Annotated[
    Path,
    typer.Option(
        help="Folder for the pictures of the worst images; it must be empty or new.", rich_help_panel="Output"
    ),
]

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
StorePath = Annotated[
    Path, typer.Argument(parser=as_place, metavar="STORE", help="Store of targets, such as data.zarr; it may be a URL.")
]
