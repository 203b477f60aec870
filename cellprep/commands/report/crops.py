"""Crops around single annotations, as an image may be huge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.report.drawing import Picture, draw_annotation
from cellprep.core.colours import grey_levels, grey_limits
from cellprep.core.rle import Runs, WindowedRuns
from cellprep.core.shapes import cutouts
from cellprep.formats.annotations.record import Annotations
from cellprep.store.documents import is_huge

_SEEN = 448  # evenly spaced pixels along the longer side that represent a huge image
_AROUND = 24  # smallest margin around an annotation, in pixels


def draw_crops(
    annotations: Annotations, pixels: NDArray[Any] | None, wanted: tuple[tuple[int, int | None], ...]
) -> dict[int, Picture]:
    """Draw crops around single annotations of an image, and return them by row."""
    if not wanted:
        return {}
    windowed = WindowedRuns.of(annotations.runs)
    place_of = {row: place for place, row in enumerate(annotations.rows)}
    step = sparse_step(annotations.runs.shape)
    limits = None if pixels is None else grey_limits(pixels[..., ::step, ::step])
    pictures = {}
    for row, partner in wanted:
        if row not in place_of or not (window := _around(windowed, place_of[row])):
            continue
        runs, which = windowed.cut(*window)
        found = {annotations.rows[place]: cutout for place, cutout in zip(which.tolist(), cutouts(runs), strict=True)}
        grey = to_grey(None if pixels is None else pixels[(..., *window)], runs, limits)
        pictures[row] = draw_annotation(grey, row, partner if partner in found else None, found)
    return pictures


def sparse_step(shape: tuple[int, int]) -> int:
    """Return the step between pixels that suffices for a small picture, or for intensity limits: 1 means all pixels."""
    return -(-max(shape) // _SEEN) if is_huge(shape) else 1


def to_grey(pixels: NDArray[Any] | None, runs: Runs, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return an image in 256 levels; if there is none, the annotations in grey, lighter where they overlap."""
    if pixels is None:
        return (30 + 60 * np.minimum(runs.coverage(), 2)).astype(np.uint8)
    return np.round(255 * grey_levels(pixels, limits)).astype(np.uint8)


def _around(windowed: WindowedRuns, place: int) -> tuple[slice, slice] | None:
    """Return the window of an annotation with a margin of the same size; None if it has no pixels."""
    top, bottom, left, right = windowed.boxes[:, place].tolist()
    if top == bottom:
        return None
    ends = [(top, bottom), (left, right)] if windowed.runs.order == "row" else [(left, right), (top, bottom)]
    margin = max(_AROUND, bottom - top, right - left)
    rows, columns = (
        slice(max(0, first - margin), min(size, end + margin))
        for (first, end), size in zip(ends, windowed.runs.shape, strict=True)
    )
    return rows, columns
