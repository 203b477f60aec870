"""Checks that the arrays of an image agree: each target must follow from the labels, window by window."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.verify.fault import Fault, unreadable
from cellprep.commands.verify.table import Table, label_faults, table_fault
from cellprep.commands.verify.wrong import Wrong, among, unequal
from cellprep.core.targets import TARGETS, Recipe
from cellprep.core.targets.by_window import CellsOfLabels, TargetsByWindow
from cellprep.core.windows import Window
from cellprep.errors import StoreError
from cellprep.store import StoredImage

#: The rules that arrays must obey, by array; each target has its own rule.
RULES = {"ignore": "no cells ignored", "labels": "known labels"}


def array_faults(image: StoredImage, names: Sequence[str], threads: int) -> Iterator[Fault]:
    """Yield what is wrong with the arrays of an image.

    Parameters
    ----------
    image
        The image.
    names
        The arrays, whose shapes and dtypes are right.
    threads
        Number of windows at once.

    Raises
    ------
    TooLargeError
        If distances are so long that the pixels they depend on do not fit into memory.
    """
    table = fault = None
    if "cells" in names:
        try:
            table = image.read("cells")
        except StoreError as error:
            yield unreadable("cells", error)
        else:
            fault = table_fault(table, image.metadata)
            yield from [fault] if fault else []
    targets = None
    if "labels" in names:
        counted = _count_labels(image, known=table is not None)
        if isinstance(counted, Fault):
            yield counted
        else:
            # Without a table, the number of annotations cannot be verified.
            faults = [] if table is None else list(label_faults(*counted, table, image.metadata))
            yield from faults
            if table is not None and not faults and not fault:
                targets = _targets(image, table, counted.nobodys)
    yield from _window_faults(image, [name for name in names if name not in ("cells", "labels")], targets, threads)


class _Counted(NamedTuple):
    """The number of pixels of each label, (n,), and of the background."""

    owned: Table
    nobodys: int


def _count_labels(image: StoredImage, *, known: bool) -> _Counted | Fault:
    """Count the pixels of each label if the table confirms their number; otherwise only check the labels."""
    cells = image.metadata.cells
    owned = np.zeros(cells + 1 if known else 1, np.int64)
    wrong: Wrong | None = None
    for window in image.windows():
        try:
            labels = image.read("labels", window)
        except StoreError as error:
            return unreadable("labels", error)
        if labels.max(initial=0) > cells:
            strangers = among(labels > cells, labels, f"there are {cells} annotations")
            wrong = strangers.moved(window).joined(wrong) if strangers else wrong
        elif known:
            found = np.bincount(labels.ravel())
            owned[: len(found)] += found
    if wrong:
        return Fault("labels", RULES["labels"], wrong.described())
    return _Counted(owned[1:], int(owned[0]))


def _targets(image: StoredImage, table: Table, nobodys: int) -> TargetsByWindow:
    recipe = _compared_recipe(image.recipe)
    cells = CellsOfLabels(partial(image.read, "labels"), image.shape, recipe.overlap, table[:, 1], nobodys)
    return TargetsByWindow(cells, recipe)


def _compared_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe that makes the targets for comparison."""
    if recipe.distance == "cv2":
        return recipe
    return replace(recipe, distance="cv2-exact")  # all other methods are exact, too, but slower


def _window_faults(
    image: StoredImage, names: Sequence[str], targets: TargetsByWindow | None, threads: int
) -> Iterator[Fault]:
    found: dict[str, Wrong | Fault] = {}
    with ThreadPoolExecutor(threads) as pool:
        for of_window in pool.map(partial(_judge, image, names, targets), image.windows()):
            for name, wrong in of_window.items():
                before = found.get(name)
                if isinstance(wrong, Fault):
                    found[name] = before if isinstance(before, Fault) else wrong
                elif not isinstance(before, Fault):
                    found[name] = wrong.joined(before)
    for name in names:
        if name in found:
            wrong = found[name]
            yield wrong if isinstance(wrong, Fault) else Fault(name, _rule(name), wrong.described())


def _rule(name: str) -> str:
    return TARGETS[name].rule if name in TARGETS else RULES[name]


def _judge(
    image: StoredImage, names: Sequence[str], targets: TargetsByWindow | None, window: Window
) -> dict[str, Wrong | Fault]:
    """Return by name what is wrong with the arrays in a window, or why they could not be checked."""
    rows, columns = window
    expected: dict[str, NDArray[Any]] = targets.at(rows, columns) if targets else {}
    judged: dict[str, Wrong | Fault] = {}
    rounded: set[str] = set()  # targets whose differences are within the rounding of different machines
    for name in names:
        try:
            found = image.read(name, (rows, columns))
        except StoreError as error:
            judged[name] = unreadable(name, error)
            continue
        wrong = None
        if name in TARGETS and expected:
            if targets and rounded.intersection(TARGETS[name].needs):  # targets made from them follow them
                expected[name] = targets.made_from(name, (rows, columns), image.read)
            wrong = unequal(found, expected[name], TARGETS[name].tolerance)
            rounded |= set() if wrong or np.array_equal(found, expected[name]) else {name}
        elif name == "ignore" and expected:
            cells = expected["labels"] > 0
            wrong = among((found > 1) | ((found == 1) & cells), found, "it should be 1 or 0, and 0 on cells")
        if wrong:
            judged[name] = wrong.moved((rows, columns))
    return judged
