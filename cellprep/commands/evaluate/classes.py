"""Scores by class: what they need of both sides, and the picture of which class was taken for which."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.commands.evaluate.image import EvaluationTask, ImageEvaluation
from cellprep.commands.preview.saving import new_figure, save
from cellprep.errors import UsageError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.annotations.source import Source
from cellprep.system.places import local_path
from cellprep.text.tables import text_table
from cellprep.text.wording import capped, printable

_CELL = 0.75  # inches of a class in the picture
_MOST_CLASSES = 60  # of which a table can be drawn
_MISSED, _FALSE = "missed", "false"


def refuse_cells_without_class(tasks: Iterable[EvaluationTask], predicted: Source, truth: Source) -> None:
    """Refuse sides of which it is known, before the work, that cells have no class.

    Raises
    ------
    UsageError
        Naming the first image at fault.
    """
    for task in tasks:
        for record, source in ((task.truth, truth), (task.predicted, predicted)):
            if not isinstance(record, FaultyImage) and "" in (record.known_types() or ()):
                raise UsageError(
                    f"{source.name} has cells without a class, such as in {printable(task.image_id)}: for scores by "
                    "class each cell needs one, such as a COCO category or the CSV's cell_type"
                )


def refuse_unknown_classes(images: Iterable[ImageEvaluation], predicted: Source, truth: Source) -> None:
    """Refuse predicted classes that no true cell has: they may be the same ones by other names.

    Raises
    ------
    UsageError
        Naming them, and the classes that there are.
    """
    pairs = {pair for image in images if image.classes for pair in image.classes.pairs}
    known, found = ({names[side] for names in pairs} - {""} for side in (0, 1))
    if strangers := sorted(found - known):
        raise UsageError(
            f"no cell of {truth.name} has the class {printable(strangers[0])} that {predicted.name} predicts; its "
            f"classes are {', '.join(map(printable, sorted(known))) or 'none'}: give both sides the same names"
        )


def table_of_confusion(confusion: dict[str, Any]) -> list[str]:
    """Lay out how many cells of each true class were predicted to be of each class."""
    names = [printable(name) for name in confusion["classes"]]
    table = confusion["table"]
    rows = [[name, *(f"{number:,}" for number in row)] for name, row in zip([*names, _FALSE], table, strict=True)]
    rows[-1][-1] = "-"  # a cell that is on neither side
    return text_table(["true \\ predicted", *names, _MISSED], rows)


def refuse_confusion(path: Path | str) -> None:
    """Refuse a picture that cannot be drawn or written, before the work; raises as `draw_confusion`."""
    new_figure(local_path(path), 1, 1, "--confusion")


def draw_confusion(confusion: dict[str, Any], path: Path | str) -> None:
    """Draw how many cells of each true class were predicted to be of each class.

    Colours show the share of each true class; of false cells, the share of all that are false.

    Parameters
    ----------
    confusion
        As `cellprep.core.scores.summarise_by_class` has it.
    path
        The picture to write, of a kind that Matplotlib knows by its name's end, such as ``.png``.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If the picture is of no kind that is known, or there are too many classes to be seen.
    OutputError
        If the picture cannot be written.
    """
    path = local_path(path)
    names = [printable(name)[:24].replace("$", r"\$") for name in confusion["classes"]]
    if len(names) > _MOST_CLASSES:
        raise UsageError(f"a picture of {len(names):,} classes could not be read: {_MOST_CLASSES} at most")
    table = np.array(confusion["table"])
    side = _CELL * (len(names) + 1)
    margin = 0.4 + 0.09 * max(map(len, [*names, _MISSED]))
    figure = new_figure(path, side + margin + 0.6, side + margin + 0.6, "--confusion")
    axes = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.ndindex(table.shape):
        if row < len(names) or column < len(names):
            shade = "white" if shares[row, column] > 0.6 else "black"
            share = f"\n{shares[row, column]:.0%}" if table[row].any() else ""
            axes.text(column, row, f"{table[row, column]:,}{share}", ha="center", va="center", color=shade, fontsize=9)
    places = range(len(names) + 1)
    axes.set_xticks(places, [*names, _MISSED], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, [*names, _FALSE])
    axes.axhline(len(names) - 0.5, color="0.5", linewidth=1)
    axes.axvline(len(names) - 0.5, color="0.5", linewidth=1)
    axes.set(xlabel="predicted class", ylabel="true class", title="cells, and share of the true class")
    save(figure, path)


def never_predicted(by_class: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line on the classes that no predicted cell has, if there are such."""
    names = [printable(name) for name, scores in by_class.items() if not scores["predicted"]]
    return ["classes of true cells that were never predicted:", *capped(names, "name")] if names else []
