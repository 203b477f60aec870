"""Commands on annotation sources."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.door import app
from cellprep.cli.options import (
    JSON,
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
)
from cellprep.cli.words import print_json, tell
from cellprep.commands.check import RULES, CheckOptions, check_source, read_thresholds
from cellprep.commands.report import ReportOptions, is_training, report_dataset, report_training
from cellprep.commands.split import SplitOptions, split_source
from cellprep.formats.readers import open_prediction, open_source
from cellprep.system.output import refuse_to_overwrite
from cellprep.system.places import as_place


@app.command("check")
def check_command(
    source: SourcePath,
    images: Annotated[
        Path | None,
        typer.Option(
            parser=as_place, metavar="FOLDER", help="Folder or URL of image files, named by id, to check, too."
        ),
    ] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    components: Components = None,
    orientation: Orientation = None,
    overlap: Overlap = "smaller-on-top",
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help=f"Rule to flag by; repeatable. Of {', '.join(RULES)}; edge only if named.",
            autocompletion=lambda: list(RULES),
        ),
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
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Look for flaws in annotations: duplicates, hidden cells, broken outlines, odd sizes, faulty masks and images.

    The table counts what each rule finds, by cell type. `--out` names every finding, with the value measured.

    Example: `cellprep check train.csv --out flags.csv`
    """
    options = CheckOptions(
        images, overlap, tuple(rule or ()), read_thresholds(threshold or ()), jobs, quiet, scheduler, orientation
    )
    if out:
        refuse_to_overwrite(out, source)
    annotations = open_source(source, format, rle_order, crowds, components)
    report = check_source(annotations, options)
    if out:
        report.write_flags(out)
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        typer.echo("\n".join(report.table()))
    for note in [] if quiet else [*annotations.notes, *report.notes()]:
        typer.echo(note, err=True)
    if strict and report.flagged:
        raise typer.Exit(1)


@app.command("report")
def report_command(
    source: Annotated[
        Path,
        typer.Argument(
            parser=as_place, metavar="SOURCE", help="Annotations in any format, a store, or the folder of a training."
        ),
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    images: Annotated[
        Path | None,
        typer.Option(parser=as_place, metavar="FOLDER", help="Folder of image files by id, to show."),
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            parser=as_place, metavar="PREDICTED", help="Predictions to score against SOURCE, as `evaluate` takes them."
        ),
    ] = None,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    components: Components = None,
    orientation: Orientation = None,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Make a page that shows annotations, a store, predictions or a training: one HTML file, which loads nothing.

    Example: `cellprep report data.zarr --out report.html`
    """
    refuse_to_overwrite(out, source)
    if is_training(source):
        tell(report_training(source, out), quiet)
        return
    known = open_source(source, format, rle_order, crowds, components)
    found = open_prediction(predicted, known) if predicted else None
    notes = [*known.notes, *(found.notes if found else [])]
    tell(report_dataset(known, out, ReportOptions(images, found, jobs, quiet, orientation)), quiet, *notes)


@app.command("split")
def split_command(
    source: SourcePath,
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("folds.csv"),
    folds: Annotated[int, typer.Option(help="Number of folds, at least 2.")] = 5,
    format: Format = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    components: Components = None,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column of SOURCE whose equal values stay together; repeatable."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of image files, for a SOURCE that does not tell their sizes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds, from 0.")] = 0,
    orientation: Orientation = None,
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
    options = SplitOptions(folds, tuple(group or ()), seed, keep_annotated_twice, images, jobs, quiet, orientation)
    annotations = open_source(source, format, rle_order, crowds, components)
    tell(split_source(annotations, out, options), quiet, annotations.description, *annotations.notes)
