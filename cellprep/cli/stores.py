"""Commands on stores."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.bin_fitting import fit_bins
from cellprep.cli.door import app
from cellprep.cli.options import Jobs, Quiet, Version, choice
from cellprep.cli.words import tell
from cellprep.export import EXPORTERS, export_labels
from cellprep.store import open_store
from cellprep.targets import BIN_METHODS


@app.command("fit-bins")
def fit_bins_command(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store of targets.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for `build-targets --bins`.")] = Path("bins.json"),
    levels: Annotated[int, typer.Option(help="Number of energy levels, level 0 among them: 2 to 256.")] = 17,
    method: Annotated[str, choice("How to choose the bins", *BIN_METHODS)] = "distances",
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Fit energy bins to the cells of a store, for cells of other sizes than the published bins are made for.

    Every bin is a distance that occurs. `distances` takes the lowest ones, leaves out those near the one before, and
    ends with wide steps to the largest; `quantiles` gives the levels equal shares of the cells' pixels.

    Example: `cellprep fit-bins data.zarr --levels 17 --out bins.json`
    """
    tell(fit_bins(open_store(store), out, levels=levels, method=method, jobs=jobs, quiet=quiet), quiet)


@app.command("export")
def export_command(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store to export, such as data.zarr.")],
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
