"""The two sides of a comparison: cells from runs or labels, in one pixel order, without ignored regions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_label_image, as_masks, as_numbers
from cellprep.core.rle import Runs, runs_from_labels, runs_from_masks
from cellprep.core.scores.matching import match_cells
from cellprep.core.scores.pairs import find_pairs
from cellprep.errors import UsageError

_MATCHING = 0.5  # lowest IoU of a match


def both_sides(
    predicted: Runs | ArrayLike, truth: Runs | ArrayLike, ignore: ArrayLike | None
) -> tuple[Runs, Runs, NDArray[np.bool_] | None]:
    """Return the cells of both sides, with pixels in the same order, and the regions to ignore."""
    theirs = _as_runs(truth, "truth")
    ours = _as_runs(predicted, "predicted").in_order(theirs.order)
    region = None if ignore is None else as_numbers(ignore, "ignore", "(H, W) booleans") != 0
    shapes = {
        "the predicted cells": ours.shape,
        "the regions to ignore": theirs.shape if region is None else region.shape,
    }
    for what, shape in shapes.items():
        if shape not in (None, theirs.shape):
            sizes = " x ".join(map(str, shape))
            raise UsageError(f"{what} have {sizes} pixels, the true cells {theirs.shape[0]} x {theirs.shape[1]}")
    return ours, theirs, region


def _as_runs(cells: Runs | ArrayLike, name: str) -> Runs:
    if isinstance(cells, Runs):
        return cells
    right = "(H, W) integers, (n, H, W) booleans, or Runs"
    array = as_numbers(cells, name, right)
    if array.ndim == 3:
        return runs_from_masks(as_masks(array, name))
    return runs_from_labels(as_label_image(array, name, right))[0]


def counting(predicted: Runs, truth: Runs, ignore: NDArray[np.bool_] | None) -> tuple[Runs, Runs]:
    """Return the cells of both sides, reduced to the pixels that count.

    Ignored pixels are removed. A predicted cell with more than half of its pixels there is removed as well, unless the
    rest of it matches a true cell: at the border of an ignored region, the rest is too small to be judged.
    """
    if ignore is None or not ignore.any():
        return predicted, truth
    ours, theirs = predicted.outside(ignore), truth.outside(ignore)
    mostly = 2 * ours.areas < predicted.areas
    if mostly.any():
        pairs = find_pairs(ours, theirs)
        mostly[pairs.predicted[match_cells(pairs, _MATCHING)]] = False
    return ours.emptied(mostly), theirs
