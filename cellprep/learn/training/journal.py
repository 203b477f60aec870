"""The record of a run: a row of metrics per epoch, as a CSV file, as curves, and for TensorBoard."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellprep.errors import MissingExtraError, OutputError, UsageError, WeightsError
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.text.wording import printable

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, float]

#: The file of metrics in the folder of a run.
METRICS = "metrics.csv"

#: The metric of instances on validation images: see `cellprep.learn.training.scoring`.
INSTANCES = "val_ap50"

_WHERE = {"epoch": 0, "rate": 1, "seconds": 2}  # columns that are not metrics


def write_metrics(path: Path, rows: list[Row]) -> None:
    """Write a CSV file with a row per epoch; metrics that an epoch does not have are ``nan``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, _names(rows), restval="nan", lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_whole(path, text.getvalue())


def _names(rows: Sequence[Row]) -> list[str]:
    """Return the names of all metrics; they may differ in a resumed training."""
    return [*dict.fromkeys(name for row in rows for name in row)]


def metrics_dataframe(rows: Sequence[Mapping[str, Any]]) -> "DataFrame":
    """Return a table with a row per epoch and a column per metric, ``epoch`` first."""
    from pandas import DataFrame

    frame = DataFrame(list(rows))
    return frame.astype({"epoch": int}) if len(frame) else frame


def read_metrics(run: Path | str) -> "DataFrame":
    """Read the metrics of a training, finished or not; torch is not needed.

    Parameters
    ----------
    run
        Folder of the run, or of ``train all``.

    Returns
    -------
    DataFrame
        A row per epoch: ``epoch``, ``rate``, ``seconds``, ``train_loss``, ``val_loss`` and the network's metrics. For
        ``train all``, the rows of all networks, with their names in the first column, ``network``.

    Raises
    ------
    UsageError
        If the folder has no metrics.
    WeightsError
        If the metrics are damaged.
    """
    from pandas import concat, read_csv

    run = local_path(run, "run")
    if (run / METRICS).is_file():
        try:
            return read_csv(run / METRICS, dtype=float).astype({"epoch": int})
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"{run / METRICS} is damaged: train again, or resume the training") from error
    parts = [path.parent for path in sorted(run.glob(f"*/{METRICS}"))]
    if not parts:
        raise UsageError(f"{run} has no {METRICS}: give the folder of a training that has finished an epoch")
    tables = {part.name: read_metrics(part) for part in parts}
    return concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)


def draw_curves(path: Path, rows: list[Row], title: str) -> None:
    """Draw the losses and every metric over the epochs.

    Parameters
    ----------
    path
        The PNG to write.
    rows
        One per epoch.
    title
        The network, and the number of images.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    OutputError
        If the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingExtraError("drawing curves", "matplotlib", "plot") from error

    epochs = [row["epoch"] for row in rows]
    measures = [name for name in _names(rows) if name not in (*_WHERE, INSTANCES) and not name.endswith("loss")]
    scored = [INSTANCES] if any(INSTANCES in row for row in rows) else []
    names = ["loss", *(["validation"] if measures else []), *(["instances"] if scored else []), "learning rate"]
    figure = Figure(figsize=(5.5 * len(names), 4.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(names))
    best = min(rows, key=lambda row: row["val_loss"])
    for name, colour in (("train_loss", "#0072b2"), ("val_loss", "#d55e00")):
        panels[0].plot(epochs, [row[name] for row in rows], color=colour, label=name.replace("_", " "))
    panels[0].plot(best["epoch"], best["val_loss"], "o", color="#d55e00", label=f"best: epoch {best['epoch']:.0f}")
    for name in measures:
        panels[1].plot(epochs, [row[name] for row in rows], label=_in_words(name))
    if scored:
        panels[-2].plot(epochs, [row.get(INSTANCES, np.nan) for row in rows], color="#009e73", label="AP at IoU .5")
    panels[-1].plot(epochs, [row["rate"] for row in rows], color="0.4", label="learning rate")
    for axes, name in zip(panels, names, strict=True):
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    losses = [row[name] for row in rows for name in ("train_loss", "val_loss")]
    if min(losses) > 0 and max(losses) > 5 * min(losses):
        panels[0].set_yscale("log")
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_whole(path, buffer.getvalue())


def _in_words(measure: str) -> str:
    """Return a metric for a legend, in which text between two dollars would be mathematics."""
    return printable(measure.replace("_", " ").removeprefix("val ")).replace("$", r"\$")


class TensorBoard:
    """Writes the rows for TensorBoard.

    Parameters
    ----------
    folder
        Folder of its event files; it is created with the first row.

    Raises
    ------
    MissingExtraError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("--tensorboard", "tensorboard", "tensorboard") from error
        self._folder = folder
        self._make_writer = SummaryWriter
        self._writer: Any = None

    def write(self, rows: list[Row]) -> None:
        """Add the last row; the first call writes all rows, replacing those of earlier runs in this folder.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        try:
            new = rows[-1:]
            if self._writer is None:
                self._writer, new = self._make_writer(str(self._folder), purge_step=0), rows
            for row in new:
                for name in row.keys() - {"epoch"}:
                    self._writer.add_scalar(name, row[name], int(row["epoch"]))
            self._writer.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self._folder}: {error.strerror or error}") from error
