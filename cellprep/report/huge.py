"""What a report shows of a huge image, window by window: all but what the decoder makes of its targets."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.annotations import Annotations
from cellprep.labels import windows
from cellprep.preview import grey_levels, grey_limits
from cellprep.report.drawing import Picture, draw_annotation, draw_thumbnail
from cellprep.rle import Runs, WindowedRuns
from cellprep.scores import ImageScore
from cellprep.shapes import cutouts
from cellprep.store.documents import is_huge
from cellprep.targets import Recipe
from cellprep.targets.by_window import TargetsByWindow

__all__ = ["Looks", "draw_crops", "look_by_windows", "to_grey"]

_SEEN = 448  # pixels along the longer side, evenly chosen, that a small picture is made of
_AROUND = 24  # pixels, at the least, around an annotation


class Looks(NamedTuple):
    """What follows from an image's targets, as `ImageFacts` has it."""

    classes: tuple[int, ...]
    levels: tuple[int, ...]
    score: ImageScore | None
    thumbnail: Picture | None


def look_by_windows(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe) -> Looks:
    """Measure and draw a huge image."""
    shape = annotations.runs.shape
    targets = TargetsByWindow(annotations.runs, recipe, annotations.areas)
    step = _step(shape)
    seen = np.zeros([-(-size // step) for size in shape], np.int64)
    classes, levels = np.zeros(3, np.int64), np.zeros(len(recipe.bins) + 1, np.int64)
    for window in windows(shape):
        arrays = targets.at(*window)
        classes += arrays["semseg"].sum(axis=(0, 1), dtype=np.int64)
        levels += np.bincount(arrays["energy"][arrays["labels"] > 0], minlength=len(levels))
        first = [-along.start % step for along in window]
        part = arrays["labels"][first[0] :: step, first[1] :: step]
        top, left = (-(-along.start // step) for along in window)
        seen[top : top + part.shape[0], left : left + part.shape[1]] = part
    grey = 30 + 60 * (seen > 0) if pixels is None else 255 * grey_levels(pixels[..., ::step, ::step])
    thumbnail = draw_thumbnail(np.round(grey).astype(np.uint8), seen)
    return Looks(tuple(classes.tolist()), tuple(levels.tolist()), None, thumbnail)


def draw_crops(
    annotations: Annotations, pixels: NDArray[Any] | None, wanted: tuple[tuple[int, int | None], ...]
) -> dict[int, Picture]:
    """Draw single annotations of an image, by row, each with its surroundings and no more."""
    windowed = WindowedRuns.of(annotations.runs)
    place_of = {row: place for place, row in enumerate(annotations.rows)}
    step = _step(annotations.runs.shape) if is_huge(annotations.runs.shape) else 1
    limits = None if pixels is None or not wanted else grey_limits(pixels[..., ::step, ::step])
    pictures = {}
    for row, partner in wanted:
        if row not in place_of or not (window := _around(windowed, place_of[row])):
            continue
        runs, which = windowed.cut(*window)
        found = {annotations.rows[place]: cutout for place, cutout in zip(which.tolist(), cutouts(runs), strict=True)}
        grey = to_grey(None if pixels is None else pixels[(..., *window)], runs, limits)
        pictures[row] = draw_annotation(grey, row, partner if partner in found else None, found)
    return pictures


def _step(shape: tuple[int, int]) -> int:
    """Return each which pixel of an image is enough to draw it small, or to know how dark it is."""
    return -(-max(shape) // _SEEN)


def to_grey(pixels: NDArray[Any] | None, runs: Runs, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return an image in 256 levels; without one, the annotations in grey, lighter where they overlap."""
    if pixels is None:
        return (30 + 60 * np.minimum(runs.coverage(), 2)).astype(np.uint8)
    return np.round(255 * grey_levels(pixels, limits)).astype(np.uint8)


def _around(windowed: WindowedRuns, place: int) -> tuple[slice, slice] | None:
    """Return a window of an annotation and as much around it; None if it has no pixel."""
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
