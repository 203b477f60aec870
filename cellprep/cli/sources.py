"""Commands on annotation sources."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import JSON, SourcePath
from cellprep.cli.words import announced, show, tell
from cellprep.commands.check import CheckOptions, check_source
from cellprep.commands.report import (
    ReportOptions,
    is_finetuning,
    is_training,
    report_dataset,
    report_finetuning,
    report_training,
)
from cellprep.commands.split import SplitOptions, split_source
from cellprep.formats.readers import SourceOptions, as_prediction
from cellprep.system.output import refuse_to_overwrite
from cellprep.system.places import as_place


@command("check")
def check_command(
    source: SourcePath,
    reading: SourceOptions,
    options: CheckOptions,
    out: Annotated[
        Path | None, typer.Option(help="CSV of flags to write, a row per finding, for `build-targets --exclude`.")
    ] = None,
    as_json: JSON = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything is flagged.")] = False,
) -> None:
    """Look for flaws in annotations: duplicates, hidden cells, broken outlines, odd sizes, faulty masks and images.

    The table counts what each rule finds, by cell type; below it are the ten worst annotations. `--out` names every
    finding, with the value measured.

    Example: `cellprep check train.csv --out flags.csv`
    """
    if out:
        refuse_to_overwrite(out, source)
    annotations = announced(reading.open(source), options.quiet)
    report = check_source(annotations, options)
    if out:
        report.write_flags(out)
    show(report, as_json, options.quiet)
    for note in [] if options.quiet else [*annotations.notes, *report.notes()]:
        typer.echo(note, err=True)
    if not (options.quiet or as_json or (annotations.format == "cellprep" and not report.flagged)):
        images = ["--images", str(options.images)] if options.images else []
        then = ["report", str(source), *images] if report.flagged else ["build-targets", str(source), *images]
        same = "" if reading == SourceOptions() else ", with the same options on how SOURCE is read"
        typer.echo(f"next: {shlex.join(['cellprep', *then])}{same}", err=True)
    if strict and report.flagged:
        raise typer.Exit(1)


@command("report")
def report_command(
    source: Annotated[
        Path,
        typer.Argument(
            parser=as_place, metavar="SOURCE", help="Annotations in any format, a store, or the folder of a training."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    reading: SourceOptions,
    options: ReportOptions,
) -> None:
    """Make a page that shows annotations, a store, predictions or a training: one HTML file, which loads nothing.

    Example: `cellprep report data.zarr --out report.html`
    """
    refuse_to_overwrite(out, source)
    if is_training(source):
        show = report_finetuning if is_finetuning(source) else report_training
        tell(show(source, out), options.quiet)
        return
    known = announced(reading.open(source), options.quiet)
    found = as_prediction(options.predicted, known) if options.predicted else None
    notes = [*known.notes, *(found.notes if found else [])]
    tell(report_dataset(known, out, options, predicted=found), options.quiet, *notes)


@command("split")
def split_command(
    source: SourcePath,
    *,
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("folds.csv"),
    reading: SourceOptions,
    options: SplitOptions,
) -> None:
    """Split images into folds, each with its share of every cell type and of images with few and many cells.

    Images that agree in all columns given by `--group`, such as plate and well, are never parted.

    Example: `cellprep split train.csv --folds 5 --out folds.csv`
    """
    refuse_to_overwrite(out, source)
    annotations = announced(reading.open(source), options.quiet)
    report = split_source(annotations, out, options)
    tell(report, options.quiet, annotations.description, *annotations.notes)
