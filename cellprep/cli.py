"""The command line: each command only declares its options and calls the library once."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cellprep._version import __version__
from cellprep.annotations import READERS, Source, open_source
from cellprep.build import BuildOptions, BuildReport, build_targets
from cellprep.demo import run_demo
from cellprep.errors import CellprepError, UsageError
from cellprep.executor import keep_freed_memory
from cellprep.export import EXPORTERS, ExportReport, export_labels
from cellprep.labels import OVERLAP_RULES
from cellprep.rle import Order
from cellprep.store import open_store
from cellprep.targets import DISTANCES, Recipe, read_bins

__all__ = ["main"]


class _Door(TyperGroup):
    """Where errors leave: one line each, no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CellprepError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
        except KeyboardInterrupt:
            typer.echo("interrupted: what is written is whole; the same command goes on from here", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="cellprep",
    cls=_Door,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cellprep {__version__}")
        raise typer.Exit


def _choice(text: str, *names: str) -> Any:
    return typer.Option(help=f"{text}: {', '.join(names)}.", autocompletion=lambda: list(names))


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Jobs = Annotated[int, typer.Option(help="Processes to work in; -1 for one per core.")]


SourcePath = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="Annotations: Kaggle's CSV, COCO JSON, a folder of label images or of mask files, OME-Zarr, or a store.",
    ),
]
Format = Annotated[str, _choice("Format of SOURCE", "auto", *READERS)]
RLEOrder = Annotated[
    Order | None,
    typer.Option(
        help="How run-length masks in a CSV count pixels; by row unless given, but EncodedPixels by column. "
        "A wrong order is noticed, but not on square images."
    ),
]


@app.callback()
def cellprep(version: Version = False) -> None:
    """Turn instance annotations of cells into training targets for the Deep Watershed Transform."""


@app.command("build-targets")
def build_targets_command(
    source: SourcePath,
    out: Annotated[Path, typer.Option(help="Store to write.")] = Path("data.zarr"),
    images: Annotated[
        Path | None, typer.Option(help="Folder of image files, named by id, to store with the targets.")
    ] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    exclude: Annotated[
        Path | None, typer.Option(help="CSV of annotations (image, row) and images to leave out, as check writes it.")
    ] = None,
    overlap: Annotated[str, _choice("Who gets pixels that several cells claim", *OVERLAP_RULES)] = "smaller-on-top",
    wall_width: Annotated[
        int, typer.Option(help="Width of the walls between cells that touch, in pixels and odd; 1 for none.")
    ] = 3,
    distance: Annotated[str, _choice("Distance transform", *DISTANCES)] = "cv2",
    bins: Annotated[
        Path | None,
        typer.Option(help="JSON list of the energy's bins, in pixels; the published ones unless given."),
    ] = None,
    background_cell: Annotated[
        bool, typer.Option("--background-cell", help="Treat the background as one gigantic cell.")
    ] = False,
    image: Annotated[
        list[str] | None, typer.Option(help="Id of an image to build; repeatable. All unless given.")
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Side of a pixel, in micrometres.")] = None,
    jobs: Jobs = -1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Build current images again, too.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove images that are no longer in SOURCE.")] = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Build training targets from annotations: one store, an image at a time, in parallel.

    Images that the store has as they would be built are left alone, so the same command goes on where an
    interrupted one stopped.

    Example: `cellprep build-targets train.csv --images train/ --out data.zarr`
    """
    recipe = Recipe(
        overlap=overlap,
        wall_width=wall_width,
        distance=distance,
        background_cell=background_cell,
        **({"bins": read_bins(bins)} if bins else {}),
    )
    options = BuildOptions(
        recipe=recipe,
        images=images,
        exclude=exclude,
        only=tuple(image or ()),
        pixel_size=pixel_size,
        jobs=jobs,
        overwrite=overwrite,
        prune=prune,
        quiet=quiet,
    )
    _tell(build_targets(_open(source, format, rle_order, quiet), out, options), quiet)


@app.command("export")
def export_command(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store to export, such as data.zarr.")],
    to: Annotated[str, _choice("Format to write", *EXPORTERS)],
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
    _tell(export_labels(open_store(store), to, out, jobs=jobs, quiet=quiet), quiet)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the data set, its store and the picture.")] = Path(
        "cellprep-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data set.")] = 0,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Generate a small data set, build its targets, and draw a picture of them.

    Example: `cellprep demo --out cellprep-demo`
    """
    demo = run_demo(out, seed=seed, jobs=jobs, quiet=quiet)
    _tell(demo.report, quiet)
    if demo.picture and not quiet:
        typer.echo(f"open the picture: {demo.picture}", err=True)


def _open(path: Path, format: str, rle_order: Order | None, quiet: bool) -> Source:  # noqa: A002
    source = open_source(path, format, rle_order)
    if not quiet:
        order = f", pixels counted by {source.order}" if source.order else ""
        typer.echo(f"{source.name}: {source.format}{order}, images: {len(source.image_ids):,}", err=True)
    return source


def _tell(report: BuildReport | ExportReport, quiet: bool) -> None:
    errors = report.errors()
    for line in errors if quiet else report.notes() + errors:
        typer.echo(line, err=True)
    if errors:
        raise typer.Exit(1)


def main() -> None:
    """Run the command ``cellprep``; CELLPREP_TRACEBACK=1 shows where an unexpected error comes from."""
    keep_freed_memory()
    try:
        app()
    except Exception as error:
        if os.environ.get("CELLPREP_TRACEBACK"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        typer.echo(f"error: unexpected {what}; please report it, with what CELLPREP_TRACEBACK=1 shows", err=True)
        sys.exit(1)
