"""The command line: each command only declares its options and calls the library once."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from typer.core import TyperGroup

from cellprep._version import __version__
from cellprep.annotations import READERS, open_source
from cellprep.bin_fitting import fit_bins
from cellprep.build import BuildOptions, build_targets
from cellprep.check import RULES, CheckOptions, check_source, read_thresholds
from cellprep.demo import run_demo
from cellprep.errors import CellprepError, UsageError
from cellprep.executor import keep_freed_memory
from cellprep.export import EXPORTERS, export_labels
from cellprep.labels import OVERLAP_RULES
from cellprep.output import refuse_to_overwrite
from cellprep.rle import Order
from cellprep.splitting import SplitOptions, split_source
from cellprep.store import open_store
from cellprep.targets import BIN_METHODS, DISTANCES, Recipe, read_bins

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
Overlap = Annotated[str, _choice("Who gets pixels that several cells claim", *OVERLAP_RULES)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
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
    overlap: Overlap = "smaller-on-top",
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
    annotations = open_source(source, format, rle_order)
    _tell(build_targets(annotations, out, options), quiet, annotations.description)


@app.command("check")
def check_command(
    source: SourcePath,
    images: Annotated[Path | None, typer.Option(help="Folder of image files, named by id, to check as well.")] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    overlap: Overlap = "smaller-on-top",
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help=f"Rule to flag by; repeatable. Of {', '.join(RULES)}; edge only if named."),
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="RULE=VALUE", help="Threshold of a rule; repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV of flags to write, a row per finding, for `build-targets --exclude`.")
    ] = None,
    as_json: JSON = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything is flagged.")] = False,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Look for flaws in annotations: duplicates, hidden cells, broken outlines, odd sizes, faulty masks and images.

    The table counts what each rule finds, by cell type. `--out` names every finding, with the value measured.

    Example: `cellprep check train.csv --out flags.csv`
    """
    options = CheckOptions(images, overlap, tuple(rule or ()), read_thresholds(threshold or ()), jobs, quiet)
    report = check_source(open_source(source, format, rle_order), options)
    if out:
        refuse_to_overwrite(out, source)
        report.write_flags(out)
    if as_json:
        _print_json(report.to_dict())
    elif not quiet:
        typer.echo("\n".join(report.table()))
    if strict and report.flagged:
        raise typer.Exit(1)


@app.command("fit-bins")
def fit_bins_command(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store of targets.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for `build-targets --bins`.")] = Path("bins.json"),
    levels: Annotated[int, typer.Option(help="Number of energy levels, level 0 among them: 2 to 256.")] = 17,
    method: Annotated[str, _choice("How to choose the bins", *BIN_METHODS)] = "distances",
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Fit energy bins to the cells of a store, for cells of other sizes than the published bins are made for.

    Every bin is a distance that occurs. `distances` takes the lowest ones, leaves out those near the one before, and
    ends with wide steps to the largest; `quantiles` gives the levels equal shares of the cells' pixels.

    Example: `cellprep fit-bins data.zarr --levels 17 --out bins.json`
    """
    _tell(fit_bins(open_store(store), out, levels=levels, method=method, jobs=jobs, quiet=quiet), quiet)


@app.command("split")
def split_command(
    source: SourcePath,
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("folds.csv"),
    folds: Annotated[int, typer.Option(help="Number of folds, at least 2.")] = 5,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column of SOURCE whose equal values stay together; repeatable."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of image files, for a SOURCE that does not tell their sizes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds, from 0.")] = 0,
    keep_annotated_twice: Annotated[
        bool, typer.Option("--keep-annotated-twice", help="Keep images of which most covered pixels are so twice.")
    ] = False,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Split images into folds, each with its share of every cell type and of images with few and many cells.

    Images that agree in all columns given by `--group`, such as plate and well, are never parted.

    Example: `cellprep split train.csv --folds 5 --out folds.csv`
    """
    refuse_to_overwrite(out, source)
    options = SplitOptions(folds, tuple(group or ()), seed, keep_annotated_twice, images, jobs, quiet)
    annotations = open_source(source, format, rle_order)
    _tell(split_source(annotations, out, options), quiet, annotations.description)


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


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


class _Report(Protocol):
    def notes(self) -> list[str]: ...

    def errors(self) -> list[str]: ...


def _tell(report: _Report, quiet: bool, *first: str) -> None:
    errors = report.errors()
    for line in errors if quiet else [*first, *report.notes(), *errors]:
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
