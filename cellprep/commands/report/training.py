"""The page on a training: its options, curves and pictures of validation images."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import msgspec

from cellprep.commands.report.charts import lines
from cellprep.commands.report.drawing import draw_file
from cellprep.commands.report.html import element, page, picture, table
from cellprep.errors import CellprepError
from cellprep.system.files import read_file
from cellprep.system.output import check_place, write_whole
from cellprep.text.wording import count, printable

_ABSURD = 1e100  # no figure of a training; differences of larger ones are no numbers
_LOSSES = {"train_loss": "training", "val_loss": "validation"}
_NO_MEASURES = {"epoch", "rate", "seconds", *_LOSSES}


class _Settings(msgspec.Struct):
    """What of a run's settings is shown."""

    options: dict[str, Any]
    train_images: list[str] = []
    validation_images: list[str] = []


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What became of a page.

    Attributes
    ----------
    path
        The page.
    epochs
        Number of epochs it shows.
    size
        Bytes of the page.
    """

    path: Path
    epochs: int
    size: int

    def notes(self) -> list[str]:
        """Say what was made."""
        return [f"{self.path}: {count(self.epochs, 'epoch')}, {self.size / 1e6:.1f} MB"]

    def errors(self) -> list[str]:
        """Return what failed: nothing, as a page that fails raises."""
        return []


def is_training(path: Path | str) -> bool:
    """Return whether a path is the folder of a training."""
    return Path(path, "run.json").is_file()


def report_training(run: Path | str, out: Path | str) -> TrainingReport:
    """Make a page that shows a training: one HTML file, which loads nothing.

    Parameters
    ----------
    run
        The folder that ``cellprep train --out`` wrote.
    out
        The page to write.

    Raises
    ------
    CellprepError
        If the training has no epoch as yet, or its files are damaged.
    OutputError
        If the page cannot be written.
    """
    run, out = Path(run), Path(out)
    check_place(out)
    try:
        settings = msgspec.json.decode(read_file(run / "run.json"), type=_Settings)
        rows = _rows(run / "metrics.csv")
    except FileNotFoundError:
        raise CellprepError(f"{run} has no epoch as yet: wait for the first one") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise CellprepError(f"the training {run} is damaged: {' '.join(str(error).split())}") from error
    if not rows:
        raise CellprepError(f"{run} has no epoch as yet: wait for the first one")
    sections = [_figures(settings, rows), _curves(rows), _pictures(run / "validation")]
    text = page(f"Training of {settings.options.get('network')}: {printable(run.resolve().name)}", *sections)
    write_whole(out, text)
    return TrainingReport(out, len(rows), out.stat().st_size)


def show_files(paths: Iterable[Path]) -> list[Element]:
    """Return pictures in files as parts of the page, made smaller where they are very large.

    Raises
    ------
    OutputError
        If one cannot be read, or is no picture of 8 bits.
    """
    shown = []
    for path in paths:
        drawn = draw_file(path)
        name = printable(path.stem)
        shown.append(
            element("figure", picture(drawn.content, name, drawn.width, drawn.height), element("figcaption", name))
        )
    return shown


def _rows(metrics: Path) -> list[dict[str, float]]:
    text = io.StringIO(read_file(metrics).decode(), newline="")
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text)]
    if rows and (missing := {"epoch", "rate", *_LOSSES} - rows[0].keys()):
        raise ValueError(f"{metrics.name} has no column {min(missing)}")
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError(f"the epochs of {metrics.name} do not count from 1")
    if any(math.isinf(row[name]) for row in rows for name in ("epoch", "rate", "seconds") if name in row):
        raise ValueError(f"{metrics.name} has endless values")
    if any(_ABSURD < abs(value) < math.inf for row in rows for value in row.values()):
        raise ValueError(f"{metrics.name} has values beyond {_ABSURD:g}")
    return rows


def _figures(settings: _Settings, rows: list[dict[str, float]]) -> Element:
    best = min(rows, key=lambda row: row["val_loss"])
    measures = [
        [name.replace("_", " "), *(f"{row[name]:.4g}" for row in (rows[0], best, rows[-1]))] for name in rows[0]
    ]
    used = [
        [name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for name, value in settings.options.items()
        if value not in (None, "", [], False)
    ]
    counts = [
        count(len(settings.train_images), "train image"),
        count(len(settings.validation_images), "validation image"),
    ]
    return element(
        "section",
        element("h2", "Figures"),
        element("p", f"{', '.join(counts)}; {count(len(rows), 'epoch')}.", class_="note"),
        table("First, best and last epoch", ["", "first", "best", "last"], measures),
        element("details", element("summary", "Options"), table("Options", ["option", "value"], used)),
        id="figures",
    )


def _curves(rows: list[dict[str, float]]) -> Element:
    epochs = [row["epoch"] for row in rows]
    losses = {words: [row[name] for row in rows] for name, words in _LOSSES.items()}
    charts = [lines("Loss", "epoch", epochs, losses)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name not in _NO_MEASURES and any(map(math.isfinite, values)):
            charts.append(lines(name.removeprefix("val_").replace("_", " "), "epoch", epochs, {"validation": values}))
    charts.append(lines("Learning rate", "epoch", epochs, {"": [row["rate"] for row in rows]}))
    return element("section", element("h2", "Curves"), element("div", *charts, class_="charts"), id="curves")


def _pictures(folder: Path) -> Element:
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    return element(
        "section",
        element("h2", "Validation images"),
        element("p", f"{count(len(files), 'picture')} at the best epoch.", class_="note"),
        element("div", *show_files(files), class_="pictures"),
        id="validation",
    )
