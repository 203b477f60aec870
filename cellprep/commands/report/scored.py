"""Pictures of the images with the lowest scores, with layers of outlines by the outcome of cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.commands.evaluate import EvaluationOptions, EvaluationReport, drawings_of_worst
from cellprep.commands.evaluate.image import load_both
from cellprep.commands.evaluate.pictures import Drawing, background, cells_by_outcome, title
from cellprep.commands.report.drawing import Outlines, Picture, draw_grey, svg_path
from cellprep.core.outlines import simplify_polygons, trace_masks
from cellprep.core.rle import Runs
from cellprep.errors import OutputError
from cellprep.formats.annotations.source import Source
from cellprep.system.executor import Failed, in_order, run_tasks
from cellprep.text.wording import printable

_SIDE = 896  # maximum longer side of a picture, in pixels
_WORST = 12  # images


def draw_lowest(
    report: EvaluationReport, predicted: Source, truth: Source, shared: dict[str, Any]
) -> Sequence[tuple[str, Picture]]:
    """Draw the images with the lowest scores, each with its rank, name and scores as title.

    Raises
    ------
    OutputError
        If an image cannot be drawn.
    """
    options = EvaluationOptions(**shared)
    drawings = drawings_of_worst(report, predicted, truth, _WORST, Path(), options)
    outcomes = run_tasks(_draw, drawings, done="drew", jobs=options.jobs, total=len(drawings), quiet=True)
    pictures = []
    for rank, (drawing, drawn) in enumerate(in_order(outcomes, drawings), start=1):
        if isinstance(drawn, Failed):
            raise OutputError(f"cannot draw {printable(drawing.task.image_id)}: {drawn.problem}")
        pictures.append((printable(f"{rank}. {drawn[0]}"), drawn[1]))
    return pictures


def _draw(drawing: Drawing) -> tuple[str, Picture]:
    predicted, truth = load_both(drawing.task)
    grey = np.round(255 * background(drawing.task, truth)).astype(np.uint8)
    tolerance = 0.5 * max(1.0, max(grey.shape) / _SIDE)
    layers = [Outlines(cells.outcome, _paths(cells.runs, tolerance)) for cells in cells_by_outcome(predicted, truth)]
    picture = draw_grey(grey, _SIDE, grey.shape, [layer for layer in layers if layer.path])
    return title(drawing, truth.cell_type), picture


def _paths(runs: Runs, tolerance: float) -> str:
    there = runs.take(runs.areas > 0)
    return "".join(svg_path(simplify_polygons(polygons, tolerance)) for polygons in trace_masks(there))
