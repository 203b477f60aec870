"""The command for scoring predictions."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import JSON, Pictures, Worst
from cellprep.cli.words import announced, free, show, show_worst, tell, tell_next
from cellprep.commands.evaluate import (
    EvaluationOptions,
    draw_confusion,
    draw_worst,
    evaluate,
    refuse_confusion,
    refuse_pictures,
)
from cellprep.formats.annotations.categories import CategoriesAre
from cellprep.formats.annotations.source import Source
from cellprep.formats.readers import READERS, ComponentsAre, CrowdsAre, RLEOrder, SourceOptions, open_prediction
from cellprep.system.options import Option
from cellprep.system.output import check_place
from cellprep.system.places import as_place
from cellprep.system.progress import say_first


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthOptions(SourceOptions):
    """Options for reading the true cells."""

    format: Annotated[str, Option("Format of TRUTH", ("auto", *READERS), group="Annotations")] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedOptions:
    """Options for reading the predicted cells."""

    predicted_format: Annotated[str, Option("Format of PREDICTED", ("auto", *READERS), group="Predictions")] = "auto"
    predicted_rle_order: RLEOrder = None
    predicted_crowds: CrowdsAre = None
    predicted_components: ComponentsAre = None
    predicted_category_map: CategoriesAre = None

    def open(self, predicted: Path, truth: Source) -> Source:
        """Open the predicted cells; for COCO results, `truth` lists their images."""
        return open_prediction(
            predicted,
            truth,
            self.predicted_format,
            self.predicted_rle_order,
            self.predicted_crowds,
            self.predicted_components,
            category_map=self.predicted_category_map,
        )


@command("evaluate", writes=("out", "confusion", "pictures"), folders=("pictures",))
def evaluate_command(
    predicted: Annotated[
        Path,
        typer.Argument(
            parser=as_place,
            metavar="PREDICTED",
            help="Predicted cells: a folder of label images, a store, Kaggle's CSV, COCO JSON or COCO results.",
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            parser=as_place, metavar="TRUTH", help="True cells of the same images, in any of these formats."
        ),
    ],
    *,
    reading: TruthOptions,
    predicted_reading: PredictedOptions,
    options: EvaluationOptions,
    out: Annotated[
        Path | None, typer.Option(help="CSV to write, with a row of scores per image.", rich_help_panel="Output")
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            help="Picture of the confusion matrix of classes to write, such as .png; implies --by-class.",
            rich_help_panel="Output",
        ),
    ] = None,
    worst: Worst = 0,
    pictures: Pictures = Path("worst"),
    as_json: JSON = False,
) -> None:
    """Score predicted cells against true cells: metrics of Kaggle, StarDist and COCO, and counts of errors.

    Both sides must have the same images, unless --common is given. Overlapping true cells are scored as annotated.

    Example: `cellprep evaluate predictions/ train.csv --out scores.csv`
    """
    if out:
        check_place(out)
    if worst:
        refuse_pictures(pictures)
    if confusion:
        refuse_confusion(confusion)
        options = replace(options, by_class=True)
    known = announced(reading.open(truth), options.quiet)
    found = predicted_reading.open(predicted, known)
    if not options.quiet:
        say_first(found.description, f"against {known.description}")
    report = evaluate(found, known, options)
    if out:
        report.write_csv(out)
    show(report, as_json, options.quiet)
    if confusion and report.class_scores:
        draw_confusion(report.class_scores["confusion"], confusion)
    draw = partial(draw_worst, report, found, known, worst, pictures, options)
    show_worst(report, as_json, options.quiet, worst, draw)
    tell(report, options.quiet, *known.notes, *found.notes)
    tell_next(options.quiet or as_json, "measure", predicted, *free("--out", "cells.csv"))
