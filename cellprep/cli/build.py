"""Commands that build stores."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from cellprep.cli.door import app
from cellprep.cli.options import (
    Components,
    Crowds,
    Format,
    Jobs,
    Orientation,
    Overlap,
    Quiet,
    RLEOrder,
    Scheduler,
    SourcePath,
    Version,
    choice,
)
from cellprep.cli.words import tell
from cellprep.commands.build_targets import BuildOptions, build_targets
from cellprep.commands.demo import run_demo
from cellprep.core.targets import BIN_PRESETS, DISTANCES, Recipe, find_bins
from cellprep.errors import UsageError
from cellprep.formats.readers import open_source
from cellprep.system.places import as_place


@app.command("build-targets")
def build_targets_command(
    source: SourcePath,
    out: Annotated[
        Path, typer.Option(parser=as_place, metavar="STORE", help="Store to write, a folder or a URL.")
    ] = Path("data.zarr"),
    images: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="FOLDER",
            help="Folder or URL of image files, named by id, to store as well; unless given, a folder beside SOURCE "
            "that has them: one of its name, images or train.",
        ),
    ] = None,
    no_images: Annotated[bool, typer.Option("--no-images", help="Store targets only, no images.")] = False,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    components: Components = None,
    exclude: Annotated[
        Path | None, typer.Option(help="CSV of annotations (image, row) and images to leave out, as check writes it.")
    ] = None,
    overlap: Overlap = "smaller-on-top",
    wall_width: Annotated[
        int, typer.Option(help="Width of the walls between cells that touch, in pixels and odd; 1 for none.")
    ] = 3,
    distance: Annotated[str, choice("Distance transform", *DISTANCES)] = "cv2",
    per_instance: Annotated[
        bool,
        typer.Option(
            "--per-instance", help="Measure distances and vectors in each cell by itself, whatever touches it."
        ),
    ] = False,
    bins: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help=f"Bins of the energy: {', '.join(BIN_PRESETS)}, or a JSON list of distances in pixels.",
            autocompletion=lambda: list(BIN_PRESETS),
        ),
    ] = "sartorius",
    background_cell: Annotated[
        bool, typer.Option("--background-cell", help="Treat the background as one gigantic cell.")
    ] = False,
    image: Annotated[
        list[str] | None, typer.Option(help="Id of an image to build; repeatable. All unless given.")
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Side of a pixel, in micrometres.")] = None,
    orientation: Orientation = None,
    channels: Annotated[
        Literal["collapse", "keep"],
        typer.Option(help="Whether grey that is stored as RGB becomes one channel or stays three."),
    ] = "collapse",
    jobs: Jobs = -1,
    scheduler: Scheduler = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Build current images again, too.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove images that are no longer in SOURCE.")] = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Build training targets from annotations: one store, an image at a time, in parallel.

    Images that the store has as they would be built are left alone, so the same command goes on where an
    interrupted one stopped.

    Example: `cellprep build-targets train.csv --out data.zarr`
    """
    if images and no_images:
        raise UsageError("--images and --no-images contradict each other: give one of them")
    recipe = Recipe(
        overlap=overlap,
        wall_width=wall_width,
        distance=distance,
        bins=find_bins(bins),
        background_cell=background_cell,
        per_instance=per_instance,
    )
    options = BuildOptions(
        recipe=recipe,
        images=False if no_images else images,
        exclude=exclude,
        only=tuple(image or ()),
        pixel_size=pixel_size,
        jobs=jobs,
        overwrite=overwrite,
        prune=prune,
        orientation=orientation,
        channels=channels,
        quiet=quiet,
        scheduler=scheduler,
    )
    annotations = open_source(source, format, rle_order, crowds, components)
    tell(build_targets(annotations, out, options), quiet, annotations.description, *annotations.notes)


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
    """Generate small data sets, build the targets of one, and draw a picture of them.

    Example: `cellprep demo --out cellprep-demo`
    """
    demo = run_demo(out, seed=seed, jobs=jobs, quiet=quiet)
    tell(demo.report, quiet)
    if not quiet:
        typer.echo(f"next: {shlex.join(['cellprep', 'predict', str(demo.nuclei), '--overlay'])}", err=True)
    if demo.picture and not quiet:
        typer.echo(f"open the picture: {demo.picture}", err=True)
