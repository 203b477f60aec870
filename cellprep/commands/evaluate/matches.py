"""A table of the matches of cells in scored images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cellprep.commands.evaluate.image import EvaluationTask, load_both
from cellprep.core.scores.matches import list_matches
from cellprep.system.executor import Failed, in_order, run_tasks
from cellprep.text.frames import make_frame

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = {
    "image": "string",
    "cell_type": "string",
    "true": "Int64",
    "predicted": "Int64",
    "iou": "Float64",
    "verdict": "string",
    "problem": "string",
}


def table_of_matches(tasks: Sequence[EvaluationTask], jobs: int) -> "DataFrame":
    """Compare both sides again, and return a row for each cell; failed images come last."""
    parts, failed = [], []
    outcomes = run_tasks(_rows, tasks, done="compared", jobs=jobs, total=len(tasks), quiet=True)
    for task, found in in_order(outcomes, tasks):
        if isinstance(found, Failed):
            failed.append({"image": [task.image_id], "problem": [found.problem]})
        else:
            parts.append(found)
    return make_frame([*parts, *failed], _COLUMNS)


def _rows(task: EvaluationTask) -> dict[str, list[Any]]:
    predicted, truth = load_both(task)
    found = list_matches(predicted.runs, truth.runs, truth.ignore)
    return {
        "image": [task.image_id] * len(found),
        "cell_type": [None if match.truth is None else truth.cell_types[match.truth] or None for match in found],
        "true": [None if match.truth is None else truth.rows[match.truth] for match in found],
        "predicted": [None if match.predicted is None else predicted.rows[match.predicted] for match in found],
        "iou": [match.iou for match in found],
        "verdict": [match.verdict for match in found],
    }
