"""The report on a training: its options, curves and pictures of validation images."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cellprep.commands.report.charts import Chart, lines
from cellprep.commands.report.drawing import draw_files
from cellprep.commands.report.page import Table, page
from cellprep.errors import CellprepError, UsageError
from cellprep.system.files import read_file
from cellprep.system.output import check_place, write_whole
from cellprep.system.places import local_path
from cellprep.text.wording import count, printable

_ABSURD = 1e100  # beyond any value of a training; differences of larger values overflow
_LOSSES = {"train_loss": "training", "val_loss": "validation"}
_NO_MEASURES = {"epoch", "rate", "seconds", *_LOSSES}


class _Settings(msgspec.Struct):
    """The settings of a run that are shown."""

    options: dict[str, Any]
    train_images: list[str] = []
    validation_images: list[str] = []


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The outcome of writing a report.

    Attributes
    ----------
    path
        The HTML file.
    epochs
        Number of epochs shown.
    size
        Size of the file in bytes.
    """

    path: Path
    epochs: int
    size: int

    def notes(self) -> list[str]:
        """Return a line on the file."""
        return [f"{self.path}: {count(self.epochs, 'epoch')}, {self.size / 1e6:.1f} MB"]

    def errors(self) -> list[str]:
        """Return an empty list, as failures are raised."""
        return []


def is_training(path: Path | str) -> bool:
    """Return whether a path is the folder of a training."""
    return Path(path, "run.json").is_file()


def report_training(run: Path | str, out: Path | str) -> TrainingReport:
    """Write a report on a training: one self-contained HTML file.

    Parameters
    ----------
    run
        The folder that ``cellprep train --out`` wrote.
    out
        The HTML file to write.

    Raises
    ------
    CellprepError
        If the training has not finished an epoch yet, or its files are damaged.
    UsageError
        If the folder has no training, or several.
    OutputError
        If the report cannot be written.
    """
    run, out = local_path(run, "run"), local_path(out)
    check_place(out)
    if not is_training(run):
        raise UsageError(f"{run} is not the folder of a training: it has no run.json")
    try:
        settings = msgspec.json.decode(read_file(run / "run.json"), type=_Settings)
        folders = sorted(path.parent for path in run.glob("*/metrics.csv"))
        if folders and not (run / "metrics.csv").exists():
            raise UsageError(f"{run} has several trainings: give the folder of one, such as {folders[-1]}")
        rows = read_rows(run / "metrics.csv")
    except FileNotFoundError:
        raise CellprepError(f"{run} has not finished an epoch yet: wait for the first one") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise CellprepError(f"the training {run} is damaged: {' '.join(str(error).split())}") from error
    if not rows:
        raise CellprepError(f"{run} has not finished an epoch yet: wait for the first one")
    pictures = draw_files(sorted(run.glob("validation/*.png")))
    text = page(
        "training.html",
        f"Training of {settings.options.get('network')}: {printable(run.resolve().name)}",
        counts=[
            count(len(settings.train_images), "train image"),
            count(len(settings.validation_images), "validation image"),
        ],
        epochs=count(len(rows), "epoch"),
        measures=_measures(rows),
        options=_options(settings),
        curves=_curves(rows),
        drawn=count(len(pictures), "picture"),
        pictures=pictures,
    )
    write_whole(out, text)
    return TrainingReport(out, len(rows), out.stat().st_size)


def read_rows(metrics: Path) -> list[dict[str, float]]:
    """Read the metrics of every epoch.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is damaged, or its values cannot be from a training.
    """
    text = io.StringIO(read_file(metrics).decode(), newline="")
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text)]
    if rows and (missing := {"epoch", "rate", *_LOSSES} - rows[0].keys()):
        raise ValueError(f"{metrics.name} has no column {min(missing)}")
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError(f"the epochs of {metrics.name} do not count from 1")
    if any(math.isinf(row[name]) for row in rows for name in ("epoch", "rate", "seconds") if name in row):
        raise ValueError(f"{metrics.name} has infinite values")
    if any(_ABSURD < abs(value) < math.inf for row in rows for value in row.values()):
        raise ValueError(f"{metrics.name} has values beyond {_ABSURD:g}")
    return rows


def _measures(rows: list[dict[str, float]]) -> Table:
    best = min(rows, key=lambda row: (math.isnan(row["val_loss"]), row["val_loss"]))
    shown = (rows[0], best, rows[-1])
    measures = [[name.replace("_", " "), *(f"{row[name]:.4g}" for row in shown)] for name in rows[0]]
    return Table("First, best and last epoch", ["", "first", "best", "last"], measures)


def _options(settings: _Settings) -> Table:
    used = [
        [name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for name, value in settings.options.items()
        if value not in (None, "", [], False)
    ]
    return Table("Options", ["option", "value"], used)


def _curves(rows: list[dict[str, float]]) -> list[Chart]:
    epochs = [row["epoch"] for row in rows]
    losses = {words: [row[name] for row in rows] for name, words in _LOSSES.items()}
    charts = [lines("Loss", "epoch", epochs, losses)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name not in _NO_MEASURES and any(map(math.isfinite, values)):
            charts.append(lines(name.removeprefix("val_").replace("_", " "), "epoch", epochs, {"validation": values}))
    return [*charts, lines("Learning rate", "epoch", epochs, {"": [row["rate"] for row in rows]})]
