"""Reduction of an image, with cells and pixels, to 1/N of its size before targets are built."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import runs_from_bands, shrink_runs, with_all_labels
from cellprep.core.shrinking import shrink_image, shrink_pixels
from cellprep.core.targets import Recipe
from cellprep.core.targets.by_window import CellsOfRuns, numbered
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.record import Annotations
from cellprep.store.documents import is_huge

_BAND = 2048  # rows of a huge image that are labelled at once


def still_to_shrink(annotations: Annotations, recipe: Recipe) -> int:
    """Return the factor by which to shrink an image for a recipe; an image of a store may already be shrunk.

    Raises
    ------
    AnnotationError
        If it is shrunk by a factor that does not divide that of the recipe.
    """
    before = annotations.shrink
    if recipe.shrink % before:
        raise AnnotationError(
            f"it is already at 1/{before} of its size, and cannot be built at {_size(recipe.shrink)}: "
            f"give --shrink {before}, or a multiple of {before} to make it smaller"
        )
    return recipe.shrink // before


def shrunk(
    annotations: Annotations, pixels: NDArray[Any] | None, by: int, rule: str
) -> tuple[Annotations, NDArray[Any] | None]:
    """Return annotations and pixels of an image at 1/`by` of its size.

    Overlaps are resolved as at full size: the cell that owns the middle pixel of a block owns the pixel of the block.

    Parameters
    ----------
    annotations
        The annotations of the image. Overlaps are ordered by the areas at full size; the returned areas are those at
        the new size.
    pixels
        (H, W) or (C, H, W).
    by
        Pixels along the side of a block.
    rule
        The rule for overlaps.
    """
    full, runs = annotations.runs, shrink_runs(annotations.runs, by)
    areas = runs.areas
    if annotations.areas is not None:  # for masks with resolved overlaps, include the hidden parts
        areas = np.maximum(areas, annotations.areas // by**2)
    cells = CellsOfRuns(runs, rule, full.areas if annotations.areas is None else annotations.areas)
    labelled, numbers = runs_from_bands(_bands(cells), runs.shape)
    smaller = replace(
        annotations,
        runs=with_all_labels(labelled, numbers, len(runs)),
        areas=areas,
        overlap=rule,
        ignore=None if annotations.ignore is None else shrink_pixels(annotations.ignore, by),
    )
    return smaller, None if pixels is None else shrink_image(pixels, by)


def _bands(cells: CellsOfRuns) -> Iterator[NDArray[Any]]:
    """Yield the labels of an image from top to bottom: all at once, unless it is huge."""
    height, width = cells.shape
    rows = _BAND if is_huge(cells.shape) else height
    for top in range(0, height, rows):
        yield numbered(*cells.at((slice(top, min(top + rows, height)), slice(0, width))))


def _size(by: int) -> str:
    return f"1/{by}" if by > 1 else "its full size"
