"""The command line: each command only declares its options and calls the library once."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cellprep._version import __version__
from cellprep.annotations import READERS, open_source
from cellprep.build import BuildOptions, build_targets
from cellprep.errors import CellprepError, UsageError
from cellprep.labels import OVERLAP_RULES
from cellprep.rle import Order
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


def _choices(registry: dict[str, Any]) -> dict[str, Any]:
    return {"metavar": "|".join(registry), "autocompletion": lambda: list(registry)}


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Jobs = Annotated[int, typer.Option(help="Processes to work in; -1 for one per core.")]


@app.callback()
def cellprep(version: Version = False) -> None:
    """Turn instance annotations of cells into training targets for the Deep Watershed Transform."""


@app.command("build-targets")
def build_targets_command(
    source: Annotated[Path, typer.Argument(help="Annotations: a CSV in Kaggle's columns.")],
    out: Annotated[Path, typer.Option(help="Store to write.")] = Path("data.zarr"),
    images: Annotated[
        Path | None, typer.Option(help="Folder of image files, named by id, to store with the targets.")
    ] = None,
    format: Annotated[  # noqa: A002
        str, typer.Option(help="Format of SOURCE.", **_choices({"auto": None, **READERS}))
    ] = "auto",
    rle_order: Annotated[
        Order | None, typer.Option(help="How run-length masks count pixels; the format's own unless given.")
    ] = None,
    overlap: Annotated[
        str, typer.Option(help="Who gets pixels that several cells claim.", **_choices(OVERLAP_RULES))
    ] = "smaller-on-top",
    wall_width: Annotated[
        int, typer.Option(help="Width of the walls between cells that touch, in pixels and odd; 1 for none.")
    ] = 3,
    distance: Annotated[str, typer.Option(help="Distance transform.", **_choices(DISTANCES))] = "cv2",
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
        only=tuple(image or ()),
        pixel_size=pixel_size,
        jobs=jobs,
        overwrite=overwrite,
        prune=prune,
        quiet=quiet,
    )
    report = build_targets(open_source(source, format, rle_order), out, options)
    errors = report.errors()
    for line in errors if quiet else report.notes() + errors:
        typer.echo(line, err=True)
    if errors:
        raise typer.Exit(1)


def main() -> None:
    """Run the command ``cellprep``."""
    app()
