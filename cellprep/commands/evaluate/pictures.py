"""Pictures of scored images, with the outlines of cells coloured by their outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.evaluate.image import EvaluationTask, load_both
from cellprep.core.colours import grey_levels
from cellprep.core.rle import Runs
from cellprep.core.scores import CellVerdicts, ImageScore, judge_cells
from cellprep.core.shapes import cutouts
from cellprep.errors import ImageFileError, MissingExtraError
from cellprep.formats.annotations.record import Annotations
from cellprep.system.executor import Failed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_SIDE = 1800  # of the drawn image, in pixels; small images are enlarged up to this

# The colours are those of Okabe and Ito, which colour-blind people can distinguish; true cells are also dashed.
_Choice = Callable[[CellVerdicts], NDArray[np.bool_]]
_TRUTH: dict[str, tuple[str, _Choice]] = {
    "missed": ("#e69f00", lambda verdicts: verdicts.missed & ~verdicts.split),
    "split": ("#f0e442", lambda verdicts: verdicts.split),
}
_PREDICTED: dict[str, tuple[str, _Choice]] = {
    "matched": ("#00b884", lambda verdicts: verdicts.counts_predicted & ~verdicts.false & ~verdicts.merged),
    "false": ("#56b4e9", lambda verdicts: verdicts.false & ~verdicts.merged),
    "merged": ("#e779b5", lambda verdicts: verdicts.merged),
}

_SIDES = {"predicted": _PREDICTED, "true": _TRUTH}
_STYLES: dict[str, Literal["-", "--"]] = {"predicted": "-", "true": "--"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture to draw.

    Attributes
    ----------
    task
        The image.
    score
        Its score.
    path
        The file to write.
    """

    task: EvaluationTask
    score: ImageScore
    path: Path


class CellsOfOutcome(NamedTuple):
    """The cells with the same outcome: the outcome, their side, their colour in pictures, and their masks."""

    outcome: str
    side: str
    colour: str
    runs: Runs


def cells_by_outcome(predicted: Annotations, truth: Annotations) -> list[CellsOfOutcome]:
    """Group the cells of an image by outcome; true cells that were found are left out."""
    verdicts = judge_cells(predicted.runs, truth.runs, truth.ignore)
    return [
        CellsOfOutcome(outcome, side, colour, runs.take(choose(verdicts)))
        for runs, side in ((predicted.runs, "predicted"), (truth.runs, "true"))
        for outcome, (colour, choose) in _SIDES[side].items()
    ]


def require_matplotlib() -> None:
    """Raise MissingExtraError if Matplotlib is not installed, before any work is done."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("drawing a picture", "matplotlib", "plot") from error


def draw_verdicts(drawing: Drawing) -> Path | Failed:
    """Draw an image, and return the path of the picture."""
    try:
        _draw(drawing)
    except OSError as error:
        return Failed(str(error))
    return drawing.path


def _draw(drawing: Drawing) -> None:
    from matplotlib.figure import Figure

    predicted, truth = load_both(drawing.task)
    height, width = truth.runs.shape
    scale = _LONGEST_SIDE / max(height, width) / 100
    figure = Figure(figsize=(max(width * scale, 8), height * scale + 1.3), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(background(drawing.task, truth), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if truth.ignore is not None:
        veil = np.zeros((height, width, 4))
        veil[truth.ignore] = (1, 1, 1, 0.35)
        axes.imshow(veil, interpolation="nearest")
    draw_outcomes(axes, predicted, truth)
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_title(title(drawing, truth.cell_type).replace("$", r"\$"), fontsize=15)
    add_legend(figure, fontsize=13)
    figure.savefig(drawing.path)


def draw_outcomes(axes: "Axes", predicted: Annotations, truth: Annotations) -> None:
    """Draw the outlines of the cells of an image, coloured by outcome."""
    for cells in cells_by_outcome(predicted, truth):
        _outline(axes, cells.runs, cells.colour, _STYLES[cells.side])


def add_legend(figure: "Figure", fontsize: float) -> None:
    """Add a legend of all outcomes below a figure."""
    from matplotlib.lines import Line2D

    names = [
        Line2D([], [], color=colour, linestyle=_STYLES[side], linewidth=3, label=f"{outcome} ({side})")
        for side, kinds in _SIDES.items()
        for outcome, (colour, _) in kinds.items()
    ]
    figure.legend(
        handles=names,
        loc="outside lower center",
        ncols=5,
        fontsize=fontsize,
        facecolor="0.2",
        labelcolor="white",
        framealpha=1,
    )


def title(drawing: Drawing, cell_type: str) -> str:
    """Return the title of a picture: the image's name and type, and its scores."""
    score = drawing.score
    parts = [
        drawing.task.image_id,
        cell_type,
        f"kaggle_map {score.kaggle_precision:.3f}",
        f"{score.matched[0]:,} of {score.truth:,} cells found",
        *(f"{getattr(score, name):,} {name}" for name in ("missed", "false", "merged", "split")),
    ]
    return "  ·  ".join(part for part in parts if part)


def background(task: EvaluationTask, truth: Annotations) -> NDArray[np.float64]:
    """Return the image between 0 and 1, darkened to emphasise outlines; if there is none, the true cells in grey."""
    record = task.truth if getattr(task.truth, "pixels", None) else task.predicted
    pixels = getattr(record, "pixels", None)
    decoded: NDArray[Any] | None = None
    if pixels is not None:
        decoded = pixels.decode(truth.runs.shape)
        if decoded.shape[-2:] != truth.runs.shape:
            sizes = (
                f"{decoded.shape[-2]} x {decoded.shape[-1]}, its cells {truth.runs.shape[0]} x {truth.runs.shape[1]}"
            )
            raise ImageFileError(f"{pixels} is {sizes} (height x width)")
    if decoded is None:
        return 0.08 + 0.25 * np.minimum(truth.runs.coverage(), 2) / 2
    return 0.8 * grey_levels(decoded)


def _outline(axes: "Axes", runs: Runs, colour: str, style: str) -> None:
    from matplotlib.collections import LineCollection
    from skimage.measure import find_contours

    lines = []
    for cutout in cutouts(runs):
        for contour in find_contours(cutout.mask, 0.5):
            lines.append((contour + cutout.origin)[:, ::-1])
    axes.add_collection(LineCollection(lines, colors=colour, linestyles=style, linewidths=1.8))
