"""Prediction and measurement of the predicted cells in one step."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellprep.commands.measure import MeasureOptions, MeasureReport, measure_to_file
from cellprep.errors import UsageError
from cellprep.formats.readers import open_source
from cellprep.formats.table_writer import check_table
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, OutputOptions, PredictionOptions
from cellprep.learn.prediction.report import PredictionReport
from cellprep.learn.prediction.run import predict
from cellprep.store import Store
from cellprep.system.places import local_path

_FORMAT = "label-tiff"


@dataclass(frozen=True, slots=True)
class MeasuredPrediction:
    """The outcome of a prediction and of the measurement of its cells.

    Attributes
    ----------
    prediction
        The outcome for every image.
    measures
        The report of the measurement; None if there were no predicted cells to measure.
    """

    prediction: PredictionReport
    measures: MeasureReport | None

    def notes(self) -> list[str]:
        """Return lines on what was done."""
        return [*self.prediction.notes(), *(self.measures.notes() if self.measures else [])]

    def errors(self) -> list[str]:
        """Return lines on failures, if there are any."""
        lines = self.prediction.errors()
        if self.prediction.vectors:
            lines.append(
                "error: no cells were measured, as a dn alone predicts only vectors: give the weights of a wtn, too"
            )
        return [*lines, *(self.measures.errors() if self.measures else [])]


def predict_and_measure(
    images: Store | Path | str | Iterable[Path | str] | None,
    table: Path | str,
    out: Path | str | None = None,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    *,
    outputs: OutputOptions | None = None,
    options: PredictionOptions | None = None,
    measures: MeasureOptions | None = None,
    **places: Any,
) -> MeasuredPrediction:
    """Predict the cells of images, write them, and measure them in these images.

    Parameters
    ----------
    images, out, weights, outputs, options, **places
        As in `cellprep.learn.predict`; the output formats must include label images.
    table
        The table to write, as in `cellprep.measure_to_file`.
    measures
        What to measure, and how.

    Raises
    ------
    UsageError
        If no label images are written, or for the reasons of both functions.
    CellprepError
        For the reasons of both functions.
    """
    outputs, options = outputs or OutputOptions(), options or PredictionOptions()
    if _FORMAT not in outputs.to:
        raise UsageError(f"cells are measured in label images: add {_FORMAT} to the output formats (--to)")
    table = local_path(table, "table")
    check_table(table)
    report = predict(images, out, weights, outputs=outputs, options=options, **places)
    if not report.images or report.vectors:
        return MeasuredPrediction(report, None)
    chosen = measures or MeasureOptions(pixel_size=options.pixel_size, quiet=options.quiet)
    chosen = replace(chosen, images=report.pixels, orientation=options.orientation)
    return MeasuredPrediction(report, measure_to_file(open_source(report.out, "label-folder"), table, chosen))
