"""The report on fine-tuning: scores before and after, held-out images, and the curves of each training."""

import csv
from pathlib import Path

import msgspec

from cellprep.commands.report.charts import lines
from cellprep.commands.report.drawing import draw_file
from cellprep.commands.report.page import Table, page
from cellprep.commands.report.training import TrainingReport, read_rows
from cellprep.errors import CellprepError
from cellprep.system.files import read_file
from cellprep.system.output import write_whole
from cellprep.text.wording import count, printable

#: The file with the results in the folder of a fine-tuning.
RESULT = "report.json"

_SHOWN = 4  # images
_NUMBERS = ("truth", "predicted", "missed", "false", "merged", "split")
_LEVELS = ("0.50", "0.70", "0.90")


class _Scores(msgspec.Struct):
    kaggle_map: float
    ap: dict[str, float]
    truth: int
    predicted: int
    missed: int
    false: int
    merged: int
    split: int


class _OfImage(msgspec.Struct):
    image: str
    before: float
    after: float


class _Result(msgspec.Struct):
    """The part of the results of fine-tuning that is shown."""

    weights: list[str]
    networks: list[str]
    train_images: int
    held_out: int
    before: _Scores | None
    after: _Scores | None
    by_image: list[_OfImage]
    kept: str
    unknown: list[str]


def is_finetuning(path: Path) -> bool:
    """Return whether a path is the folder of a finished fine-tuning."""
    return (path / RESULT).is_file()


def report_finetuning(run: Path, out: Path) -> TrainingReport:
    """Write a report on fine-tuning: one self-contained HTML file.

    Parameters
    ----------
    run
        The folder that ``cellprep finetune --out`` wrote.
    out
        The HTML file to write.

    Raises
    ------
    CellprepError
        If its files are damaged.
    OutputError
        If the report cannot be written.
    """
    try:
        result = msgspec.json.decode(read_file(run / RESULT), type=_Result)
        rows = {path.parent.name: read_rows(path) for path in sorted(run.glob("*/metrics.csv"))}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise CellprepError(f"the fine-tuning {run} is damaged: {' '.join(str(error).split())}") from error
    epochs = max((len(of_one) for of_one in rows.values()), default=0)
    text = page(
        "finetuning.html",
        f"Fine-tuning of {', '.join(map(printable, result.weights))}: {printable(run.resolve().name)}",
        counts=[
            count(result.train_images, "train image"),
            f"{count(result.held_out, 'image')} held out" if result.held_out else "none held out",
            ", ".join(map(printable, result.networks)),
        ],
        kept=result.kept == "after",
        unknown=[*map(printable, result.unknown)],
        scores=_scores(result),
        images=Table(
            "Kaggle's mean precision by image",
            ["image", "before", "after"],
            [[printable(one.image), f"{one.before:.3f}", f"{one.after:.3f}"] for one in result.by_image],
        ),
        pictures=[
            (f"{printable(name)}, {when}", draw_file(path))
            for name in _most_changed(result)
            for when in ("before", "after")
            if (path := run / when / "overlays" / f"{name}.png").is_file()
        ],
        curves=[
            lines(
                f"Loss of {printable(name)}",
                "epoch",
                [row["epoch"] for row in of_one],
                {
                    "training": [row["train_loss"] for row in of_one],
                    "validation": [row["val_loss"] for row in of_one],
                },
            )
            for name, of_one in rows.items()
            if of_one
        ],
    )
    write_whole(out, text)
    return TrainingReport(out, epochs, out.stat().st_size)


def _scores(result: _Result) -> Table:
    before, after = result.before, result.after
    rows: list[list[str]] = []
    if before and after:
        rows.append(["Kaggle's mean precision", f"{before.kaggle_map:.3f}", f"{after.kaggle_map:.3f}"])
        rows += [
            [f"AP at IoU {level}", *(f"{of_one.ap.get(level, 0):.3f}" for of_one in (before, after))]
            for level in _LEVELS
        ]
        rows += [[name, *(f"{getattr(of_one, name):,}" for of_one in (before, after))] for name in _NUMBERS]
    return Table("Scores", ["score", "before", "after"], rows)


def _most_changed(result: _Result) -> list[str]:
    """Return the names of the images whose scores changed most, except for names that lead out of the folder."""
    ordered = sorted(result.by_image, key=lambda one: -abs(one.after - one.before))
    return [one.image for one in ordered if not {"/", "\\", "\0"} & {*one.image}][:_SHOWN]
