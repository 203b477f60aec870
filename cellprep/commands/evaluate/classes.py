"""Scores by class: their requirements on both sides, and the picture of the confusion matrix."""

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

_CELL = 0.75  # inches for a class in the picture
_MOST_CLASSES = 60  # in a picture
_MISSED, _FALSE = "missed", "false"


def refuse_cells_without_class(tasks: Iterable[EvaluationTask], predicted: Source, truth: Source) -> None:
    """Refuse sides that are known to have cells without a class, before any work is done.

    Raises
    ------
    UsageError
        If there are such cells; the message has the first image.
    """
    for task in tasks:
        for record, source in ((task.truth, truth), (task.predicted, predicted)):
            if not isinstance(record, FaultyImage) and "" in (record.loaded_types() or ()):
                raise UsageError(
                    f"{source.name} has cells without a class, such as in {printable(task.image_id)}: scores by "
                    "class require one for each cell, such as a COCO category or cell_type of a CSV"
                )


def refuse_unknown_classes(images: Iterable[ImageEvaluation], predicted: Source, truth: Source) -> None:
    """Refuse predicted classes that are unknown in the truth, if they may be true classes under other names.

    The truth knows the classes of its cells and those that it lists. An unknown predicted class may be a rare one that
    these images lack. Or it is a true class under another name; then a true class was never predicted. A map of the
    predicted categories settles this.

    Raises
    ------
    UsageError
        If there are such classes; the message has the classes of both sides.
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
            f"{predicted.name} has the class {printable(min(strangers))}, which {truth.name} does not have. Predicted "
            f"classes: {ours}; true classes: {theirs}. Give both sides the same names with --predicted-category-map; "
            "map a name to itself to accept it"
        )


def table_of_confusion(confusion: dict[str, Any]) -> list[str]:
    """Return a table of the number of cells of each true class by predicted class."""
    names = [printable(name) for name in confusion["classes"]]
    table = confusion["table"]
    rows = [[name, *(f"{number:,}" for number in row)] for name, row in zip([*names, _FALSE], table, strict=True)]
    rows[-1][-1] = "-"  # there are no cells on neither side
    return text_table(["true \\ predicted", *names, _MISSED], rows)


def refuse_confusion(path: Path | str) -> None:
    """Refuse a picture that cannot be drawn or written, before any work is done; raise as `draw_confusion`."""
    new_figure(local_path(path), 1, 1, "--confusion")


def draw_confusion(confusion: dict[str, Any], path: Path | str) -> None:
    """Draw the number of cells of each true class by predicted class.

    Colours show the share of each true class; for false cells, the share of all false cells.

    Parameters
    ----------
    confusion
        As from `cellprep.core.scores.summarise_by_class`.
    path
        The picture to write; its extension, such as ``.png``, is a format that Matplotlib writes.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If the format of the picture is unknown, or there are too many classes to draw.
    OutputError
        If the picture cannot be written.
    """
    path = local_path(path)
    names = [printable(name)[:24].replace("$", r"\$") for name in confusion["classes"]]
    if len(names) > _MOST_CLASSES:
        raise UsageError(f"{len(names):,} classes are too many for a picture: it can show at most {_MOST_CLASSES}")
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
    """Return lines on the classes without predicted cells, and on those without true cells, if there are any."""
    lines = []
    for side, what in (
        ("predicted", "true classes that were never predicted:"),
        ("truth", "predicted classes that no true cell has, which are left out of means:"),
    ):
        names = [printable(name) for name, scores in by_class.items() if not scores[side]]
        lines += [what, *capped(names, "name")] if names else []
    return lines
