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
            if not isinstance(record, FaultyImage) and "" in (record.loaded_types() or ()):
                raise UsageError(
                    f"{source.name} has cells without a class, such as in {printable(task.image_id)}: for scores by "
                    "class each cell needs one, such as a COCO category or the CSV's cell_type"
                )


def refuse_unknown_classes(images: Iterable[ImageEvaluation], predicted: Source, truth: Source) -> None:
    """Refuse predicted classes that the truth does not know, where they may be classes of it by other names.

    The truth knows the classes of its cells and those that it lists. A predicted class that it does not know may be a
    rare one that these images lack, or the same class under another name: then there is a true class which was never
    predicted. What a map of the predicted categories says is right.

    Raises
    ------
    UsageError
        Naming the classes of both sides.
    """
    pairs = {pair for image in images if image.classes for pair in image.classes.pairs}
    used, found = ({names[side] for names in pairs} - {""} for side in (0, 1))
    listed = frozenset(truth.categories.renamed(truth.declared_types) if truth.categories else truth.declared_types)
    mapped = set(predicted.categories.names.values()) if predicted.categories else set()
    known = used | (listed - {""})
    strangers = found - known - mapped
    if strangers and used - found:
        ours, theirs = (", ".join(map(printable, sorted(names))) or "none" for names in (found, known))
        raise UsageError(
            f"{truth.name} knows no class {printable(min(strangers))} that {predicted.name} predicts: predicted are "
            f"{ours}; true are {theirs}. Give both sides the same names by --predicted-category-map; a name that it "
            "maps to itself is right"
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


def on_one_side_only(by_class: dict[str, dict[str, Any]]) -> list[str]:
    """Return lines on the classes that no predicted cell has, and on those that no true cell has, if there are such."""
    lines = []
    for side, what in (
        ("predicted", "classes of true cells that were never predicted:"),
        ("truth", "classes of predicted cells that no true cell has, which count in no mean:"),
    ):
        names = [printable(name) for name, scores in by_class.items() if not scores[side]]
        lines += [what, *capped(names, "name")] if names else []
    return lines
