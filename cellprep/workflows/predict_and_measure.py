"""Prediction, and measures of the predicted cells in the same go."""

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
    """What became of a prediction, and of the measures of its cells.

    Attributes
    ----------
    prediction
        What became of every image.
    measures
        What was measured; None if no cells were predicted that could be.
    """

    prediction: PredictionReport
    measures: MeasureReport | None

    def notes(self) -> list[str]:
        """Say what was done."""
        return [*self.prediction.notes(), *(self.measures.notes() if self.measures else [])]

    def errors(self) -> list[str]:
        """Say what failed; nothing if all is well."""
        lines = self.prediction.errors()
        if self.prediction.vectors:
            lines.append("error: no cells were measured: a dn alone tells vectors; give the weights of a wtn, too")
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
        As `cellprep.learn.predict` takes them; label images must be among what is written.
    table
        The table to write, as `cellprep.measure_to_file` does.
    measures
        What to measure, and how.

    Raises
    ------
    UsageError
        If no label images are written, or as both functions raise it.
    CellprepError
        As both functions raise it.
    """
    outputs, options = outputs or OutputOptions(), options or PredictionOptions()
    if _FORMAT not in outputs.to:
        raise UsageError(f"cells are measured in label images: let {_FORMAT} be among what is written (--to)")
    table = local_path(table, "table")
    check_table(table)
    report = predict(images, out, weights, outputs=outputs, options=options, **places)
    if not report.images or report.vectors:
        return MeasuredPrediction(report, None)
    chosen = measures or MeasureOptions(pixel_size=options.pixel_size, quiet=options.quiet)
    chosen = replace(chosen, images=report.pixels, orientation=options.orientation)
    return MeasuredPrediction(report, measure_to_file(open_source(report.out, "label-folder"), table, chosen))
