"""The two sides of a comparison: cells from runs or labels, counted in one order, without what is to be ignored."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_label_image
from cellprep.core.rle import Runs, runs_from_labels
from cellprep.errors import UsageError


def both_sides(
    predicted: Runs | ArrayLike, truth: Runs | ArrayLike, ignore: NDArray[np.bool_] | None
) -> tuple[Runs, Runs]:
    """Return the cells of both sides, with their pixels counted in one order."""
    theirs = _as_runs(truth)
    ours = _as_runs(predicted).in_order(theirs.order)
    shapes = {
        "the predicted cells": ours.shape,
        "the regions to ignore": theirs.shape if ignore is None else ignore.shape,
    }
    for what, shape in shapes.items():
        if shape not in (None, theirs.shape):
            sizes = " x ".join(map(str, shape))
            raise UsageError(f"{what} are of {sizes} pixels, the true cells of {theirs.shape[0]} x {theirs.shape[1]}")
    return ours, theirs


def _as_runs(cells: Runs | ArrayLike) -> Runs:
    return cells if isinstance(cells, Runs) else runs_from_labels(as_label_image(cells))[0]


def outside(runs: Runs, ignore: NDArray[np.bool_] | None, drop: bool = True) -> Runs:
    """Return the cells without their pixels to ignore, and without those that have no others."""
    left = runs if ignore is None or not ignore.any() else runs.outside(ignore)
    return left.take(left.areas > 0) if drop else left
