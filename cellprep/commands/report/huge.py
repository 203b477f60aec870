"""What a report shows of a huge image, window by window: all but what the decoder makes of its targets."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.report.crops import sparse_step
from cellprep.commands.report.drawing import Picture, draw_thumbnail
from cellprep.core.colours import grey_levels
from cellprep.core.scores import ImageScore
from cellprep.core.targets import Recipe
from cellprep.core.targets.by_window import TargetsByWindow
from cellprep.core.windows import windows
from cellprep.formats.annotations.record import Annotations


class Looks(NamedTuple):
    """What follows from an image's targets, as `ImageFacts` has it."""

    classes: tuple[int, ...]
    levels: tuple[int, ...]
    score: ImageScore | None
    thumbnail: Picture | None


def look_by_windows(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, *, thumbnail: bool) -> Looks:
    """Measure a huge image, and draw it if its thumbnail is wanted."""
    shape = annotations.runs.shape
    targets = TargetsByWindow(annotations.runs, recipe, annotations.areas)
    step = sparse_step(shape)
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
    picture = draw_thumbnail(np.round(grey).astype(np.uint8), seen) if thumbnail else None
    return Looks(tuple(classes.tolist()), tuple(levels.tolist()), None, picture)
