"""Verifying the arrays of a huge image, none of which is ever in memory as a whole.

Where an image of ordinary size is judged step by step, each target must be at once what follows from the labels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.verify.fault import Fault, unreadable
from cellprep.commands.verify.invariants import (
    Wrong,
    areas_problem,
    compared_recipe,
    hidden_problem,
    wrong_ignored,
    wrong_target,
)
from cellprep.core.rle import Runs, runs_from_bands, with_all_labels
from cellprep.core.targets.by_window import TargetsByWindow
from cellprep.core.windows import windows
from cellprep.errors import StoreError
from cellprep.store import StoredImage

#: By array the invariant that it is held to.
_INVARIANTS = {
    "semseg": "walls",
    "distance": "distances to the border",
    "uvec": "vectors along the gradient",
    "energy": "levels of the distance",
    "area": "areas of owners",
    "ignore": "no cells ignored",
}


@dataclass
class _Judged:
    """What is wrong with the arrays of an image, or of a window of it: by name which pixels, or why nobody knows."""

    wrong: dict[str, Wrong] = field(default_factory=dict)
    unreadable: dict[str, Fault] = field(default_factory=dict)

    def add(self, other: "_Judged") -> None:
        """Take in another window."""
        for name, pixels in other.wrong.items():
            self.wrong[name] = self.wrong[name].joined(pixels) if name in self.wrong else pixels
        self.unreadable = other.unreadable | self.unreadable


def huge_faults(
    image: StoredImage, names: Sequence[str], table: NDArray[np.int64] | None, threads: int
) -> Iterator[Fault]:
    """Yield what is wrong with the arrays of a huge image.

    Parameters
    ----------
    image
        The image.
    names
        The arrays, which are of the right form.
    table
        (n, 3): ``cells``, if nothing is wrong with them.
    threads
        How many windows at once.

    Raises
    ------
    TooLargeError
        If distances are so long that what they depend on does not fit into memory.
    """
    targets = None
    if "labels" in names:
        try:
            runs, values = runs_from_bands((image.read("labels", band) for band in image.bands()), image.shape)
        except StoreError as error:
            yield unreadable("labels", error)
        else:
            faults = list(_label_faults(image, runs, values, table))
            yield from faults
            if table is not None and not faults:
                runs = with_all_labels(runs, values, image.attributes["cells"])
                recipe = compared_recipe(image.attributes)
                targets = TargetsByWindow(runs, recipe, table[:, 1], threads=threads)
    names = [name for name in names if name != "labels"]
    judged = _Judged()
    with ThreadPoolExecutor(threads) as pool:
        for of_window in pool.map(partial(_judge, image, names, targets), windows(image.shape)):
            judged.add(of_window)
    for name in names:
        if name in judged.unreadable:
            yield judged.unreadable[name]
        elif name in judged.wrong:
            yield Fault(name, _INVARIANTS[name], judged.wrong[name].described())


def _label_faults(
    image: StoredImage, runs: Runs, values: NDArray[np.int64], table: NDArray[np.int64] | None
) -> Iterator[Fault]:
    cells = image.attributes["cells"]
    unknown = values > cells
    if unknown.any():
        strangers = runs.take(unknown)
        y, x = divmod(int(strangers.starts.min()), image.shape[1])
        label = values[unknown][strangers.owners[strangers.starts.argmin()]]
        wrong = Wrong(int(strangers.areas.sum()), y, x, f"{label}; there are {cells} annotations")
        yield Fault("labels", "known labels", wrong.described())
        return
    if table is None:  # whether there are as many annotations as is claimed, nobody knows
        return
    owned = np.zeros(cells, np.int64)
    owned[values - 1] = runs.areas
    if problem := hidden_problem(owned, image.attributes):
        yield Fault("labels", "hidden cells", problem)
    elif problem := areas_problem(table[:, 1], owned, image.shape[0] * image.shape[1]):
        yield Fault("cells", "areas of annotations", problem)


def _judge(
    image: StoredImage, names: list[str], targets: TargetsByWindow | None, window: tuple[slice, slice]
) -> _Judged:
    judged = _Judged()
    expected = targets.at(*window) if targets else {}
    for name in names:
        try:
            found = image.read(name, window)
        except StoreError as error:
            judged.unreadable[name] = unreadable(name, error)
            continue
        with np.errstate(all="ignore"):  # wrong values may overflow
            if name == "ignore" and expected:
                wrong = wrong_ignored(found, expected["labels"])
            else:
                wrong = wrong_target(name, found, expected[name]) if name in expected else None
        if wrong:
            judged.wrong[name] = wrong.moved(window[0].start, window[1].start)
    return judged
