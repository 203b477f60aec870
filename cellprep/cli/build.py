"""Commands that build stores."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import SourcePath
from cellprep.cli.words import announced, tell, tell_next, typed_again
from cellprep.commands.build_targets import BuildOptions, build_targets
from cellprep.commands.demo import run_demo
from cellprep.formats.readers import SourceOptions
from cellprep.system.places import as_place


@command("build-targets")
def build_targets_command(
    context: typer.Context,
    source: SourcePath,
    *,
    out: Annotated[
        Path,
        typer.Option(
            parser=as_place, metavar="STORE", help="Store to write, a folder or a URL.", rich_help_panel="Output"
        ),
    ] = Path("data.zarr"),
    reading: SourceOptions,
    options: BuildOptions,
) -> None:
    """Build a store of training targets from annotations.

    Images that are up to date in the store stay unchanged, so that the same command continues an interrupted build.
    Images are built in parallel.

    Example: `cellprep build-targets train.csv --out data.zarr`
    """
    annotations = announced(reading.open(source), options.quiet, out)
    tell(build_targets(annotations, out, options), options.quiet, *annotations.notes)
    tell_next(options.quiet, "check", source, *typed_again(context, SourceOptions, "images"))


@command("demo")
def demo_command(
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for the data set, its store and the picture.", rich_help_panel="Output")
    ] = Path("cellprep-demo"),
    given: Annotated[dict[str, Any], run_demo],
) -> None:
    """Generate small data sets, and build and draw the targets of one of them.

    Example: `cellprep demo --out cellprep-demo`
    """
    demo, quiet = run_demo(out, **given), given["quiet"]
    tell(demo.report, quiet)
    tell_next(quiet, "predict", demo.nuclei, "--overlay")
    if demo.picture and not quiet:
        typer.echo(f"open the picture: {demo.picture}", err=True)
