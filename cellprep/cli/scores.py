"""Commands that score predictions."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.door import app
from cellprep.cli.options import (
    JSON,
    Components,
    Crowds,
    Jobs,
    Orientation,
    Pictures,
    Quiet,
    RLEOrder,
    Version,
    Worst,
    choice,
)
from cellprep.cli.words import print_json, tell
from cellprep.commands.evaluate import EvaluationOptions, draw_worst, evaluate, refuse_pictures
from cellprep.formats.readers import READERS, open_prediction, open_source
from cellprep.system.output import refuse_to_overwrite
from cellprep.system.places import as_place


@app.command("evaluate")
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
        typer.Argument(parser=as_place, metavar="TRUTH", help="True cells, of the same images, in any such format."),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            parser=as_place,
            metavar="FOLDER",
            help="Folder of image files, named by id: to draw, and for sizes that neither side tells.",
        ),
    ] = None,
    format: Annotated[str, choice("Format of TRUTH", "auto", *READERS)] = "auto",  # noqa: A002
    rle_order: RLEOrder = None,
    crowds: Crowds = None,
    components: Components = None,
    predicted_format: Annotated[str, choice("Format of PREDICTED", "auto", *READERS)] = "auto",
    predicted_rle_order: RLEOrder = None,
    predicted_crowds: Crowds = None,
    orientation: Orientation = None,
    image: Annotated[
        list[str] | None, typer.Option(help="Id of an image to score; repeatable. All unless given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write, with a row of scores per image.")] = None,
    worst: Worst = 0,
    pictures: Pictures = Path("worst"),
    as_json: JSON = False,
    jobs: Jobs = -1,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Score predicted cells against true ones: Kaggle's, StarDist's and COCO's metrics, and counts of errors.

    Nothing is scored if an image is on one side only. True cells that overlap are scored as annotated.

    Example: `cellprep evaluate predictions/ train.csv --out scores.csv`
    """
    for source in (predicted, truth):
        if out:
            refuse_to_overwrite(out, source)
    if worst:
        refuse_pictures(pictures)
    options = EvaluationOptions(images, tuple(image or ()), jobs, quiet, orientation)
    known = open_source(truth, format, rle_order, crowds, components)
    found = open_prediction(predicted, known, predicted_format, predicted_rle_order, predicted_crowds)
    report = evaluate(found, known, options)
    if out:
        report.write_csv(out)
    if as_json:
        print_json(report.to_dict())
    elif report.scored and not quiet:
        typer.echo("\n".join(report.table()))
    drawn = draw_worst(report, found, known, worst, pictures, options) if worst else []
    if drawn and not (as_json or quiet):
        typer.echo("\n".join(["", *report.table_of(report.worst(worst))]))
    tell(report, quiet, *known.notes, *found.notes)
