"""Commands on annotation sources."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import JSON, SourcePath
from cellprep.cli.words import announced, free, show, tell, tell_next, typed_again
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
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.formats.readers import SourceOptions, as_prediction
from cellprep.learn.training.options import ALL
from cellprep.learn.training.runs import data_option
from cellprep.system.output import check_place
from cellprep.system.places import as_place
from cellprep.system.progress import take_unsaid


@command("check", writes=("out",))
def check_command(
    context: typer.Context,
    source: SourcePath,
    reading: SourceOptions,
    options: CheckOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV of flags to write, with a row per finding, for `build-targets --exclude`.",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: JSON = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if anything is flagged.", rich_help_panel="Rules")
    ] = False,
) -> None:
    """Find flaws in annotations: duplicates, hidden cells, broken outlines, unusual sizes, invalid masks or images.

    The table shows the number of findings of each rule by cell type, followed by the ten worst annotations. `--out`
    lists all findings with the measured values.

    Example: `cellprep check train.csv --out flags.csv`
    """
    if out:
        check_place(out)
    annotations = announced(reading.open(source), options.quiet, out)
    report = check_source(annotations, options)
    if out:
        report.write_flags(out)
    show(report, as_json, options.quiet)
    for line in [] if options.quiet else take_unsaid():
        typer.echo(line, err=True)
    for note in [] if options.quiet else [*annotations.notes, *report.notes()]:
        typer.echo(note, err=True)
    if not (options.quiet or as_json or (annotations.format == CellprepStore.format and not report.flagged)):
        again = typed_again(context, SourceOptions, "images")
        page = ["report", source, *again, *free("--out", "report.html")]
        tell_next(options.quiet, *(page if report.flagged else ["build-targets", source, *again]))
    if strict and report.flagged:
        raise typer.Exit(1)


@command("report", writes=("out",))
def report_command(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            parser=as_place, metavar="SOURCE", help="Annotations in any format, a store, or the folder of a training."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="HTML file to write.", rich_help_panel="Output")] = Path("report.html"),
    reading: SourceOptions,
    options: ReportOptions,
) -> None:
    """Write a report on annotations, a store, predictions or a training: one self-contained HTML file.

    Example: `cellprep report data.zarr --out report.html`
    """
    check_place(out)
    if is_training(source):
        show = report_finetuning if is_finetuning(source) else report_training
        tell(show(source, out), options.quiet)
        return
    known = announced(reading.open(source), options.quiet, out)
    found = as_prediction(options.predicted, known) if options.predicted else None
    notes = [*known.notes, *(found.notes if found else [])]
    tell(report_dataset(known, out, options, predicted=found), options.quiet, *notes)
    if known.format == CellprepStore.format:
        tell_next(options.quiet, "train", ALL, *data_option(source))
    elif Path("data.zarr").exists():
        tell_next(options.quiet, "train", ALL)
    else:
        tell_next(options.quiet, "build-targets", source, *typed_again(context, SourceOptions, "images"))


@command("split", writes=("out",))
def split_command(
    source: SourcePath,
    *,
    out: Annotated[Path, typer.Option(help="CSV to write.", rich_help_panel="Output")] = Path("folds.csv"),
    reading: SourceOptions,
    options: SplitOptions,
) -> None:
    """Split images into folds that are balanced in cell types and in numbers of cells.

    Images with the same values in all `--group` columns, such as plate and well, stay in the same fold.

    Example: `cellprep split train.csv --folds 5 --out folds.csv`
    """
    check_place(out)
    annotations = announced(reading.open(source), options.quiet, out)
    tell(split_source(annotations, out, options), options.quiet, *annotations.notes)
