"""What a report shows of one image: what a worker measures and draws."""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.commands.check import load_readable
from cellprep.commands.report.crops import draw_crops, to_grey
from cellprep.commands.report.drawing import Picture, draw_thumbnail
from cellprep.commands.report.huge import Looks, look_by_windows
from cellprep.core.cells import resolve_overlaps
from cellprep.core.decode import energy_to_labels
from cellprep.core.overlaps import find_overlaps
from cellprep.core.scores import ImageScore, score_image
from cellprep.core.shapes import cutouts
from cellprep.core.targets import Recipe, compute_targets
from cellprep.errors import CellprepError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.images.file import fitting
from cellprep.store.documents import is_huge
from cellprep.text.wording import unexpected


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to look at: small enough to send to another process.

    Attributes
    ----------
    record
        What its reader says of it.
    recipe
        How targets are made.
    rows
        The annotations to draw, each with the one it is compared to, if any.
    thumbnail
        Whether to draw the image.
    """

    record: ImageRecord | FaultyImage
    recipe: Recipe
    rows: tuple[tuple[int, int | None], ...]
    thumbnail: bool

    @property
    def image_id(self) -> str:
        """The image's name in the source."""
        return self.record.image_id


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was measured and drawn of one image.

    Attributes
    ----------
    image_id, cell_type
        The image's name and category.
    problem
        Why it could not be looked at; the rest is then empty.
    shape
        Height and width.
    cell_types, areas, elongations
        Of each cell: its category, area in pixels, and the ratio of the axes of the ellipse with its moments.
    covered_once, covered_often
        Pixels that one annotation claims, and several.
    classes
        Pixels that are cell, wall and background.
    levels
        Pixels of the mask at each energy level.
    score
        What the default decoder makes of the targets, scored.
    thumbnail
        The image with its cells outlined.
    crops
        By row the annotation's picture.
    """

    image_id: str
    cell_type: str = ""
    problem: str = ""
    shape: tuple[int, int] = (0, 0)
    cell_types: tuple[str, ...] = ()
    areas: tuple[int, ...] = ()
    elongations: tuple[float, ...] = ()
    covered_once: int = 0
    covered_often: int = 0
    classes: tuple[int, ...] = (0, 0, 0)
    levels: tuple[int, ...] = ()
    score: ImageScore | None = None
    thumbnail: Picture | None = None
    crops: dict[int, Picture] = field(default_factory=dict)


def look_at_image(task: ImageTask) -> ImageFacts:
    """Measure and draw one image. Never raises."""
    try:
        return _look(task)
    except CellprepError as error:
        problem = str(error)
    except MemoryError:
        problem = "there is not enough memory for it"
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are shown
        problem = unexpected(error)
    return ImageFacts(task.image_id, problem=problem)


def _look(task: ImageTask) -> ImageFacts:
    record = task.record
    if isinstance(record, FaultyImage):
        return ImageFacts(record.image_id, problem=record.problem)
    pixels = record.pixels.decode() if record.pixels else None
    _, annotations = load_readable(record, None if pixels is None else (pixels.shape[-2], pixels.shape[-1]))
    runs = annotations.runs
    if record.pixels and pixels is not None:
        pixels = fitting(record.pixels, pixels, runs.shape)
    if pixels is not None and pixels.shape[-2:] != runs.shape:
        pixels = None
    look = look_by_windows if is_huge(runs.shape) else _look_at_once
    looks = look(annotations, pixels, task.recipe, thumbnail=task.thumbnail)
    overlaps = find_overlaps(runs)
    return ImageFacts(
        image_id=record.image_id,
        cell_type=annotations.cell_type,
        shape=runs.shape,
        cell_types=annotations.cell_types,
        areas=tuple(runs.areas.tolist()),
        elongations=tuple(_elongation(cutout.mask) for cutout in cutouts(runs)),
        covered_once=overlaps.covered_once,
        covered_often=overlaps.covered_often,
        classes=looks.classes,
        levels=looks.levels,
        score=looks.score,
        thumbnail=looks.thumbnail,
        crops=draw_crops(annotations, pixels, task.rows),
    )


def _look_at_once(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, *, thumbnail: bool) -> Looks:
    cells = resolve_overlaps(annotations.runs, recipe.overlap, annotations.areas)
    targets = compute_targets(cells, recipe)
    mask = cells.labels > 0
    semseg, energy = targets["semseg"], targets["energy"]
    decoded = energy_to_labels(energy, targets["uvec"], mask.astype(np.uint8), semseg[..., 1])
    return Looks(
        classes=tuple(int(semseg[..., channel].sum()) for channel in range(3)),
        levels=tuple(np.bincount(energy[mask], minlength=len(recipe.bins) + 1).tolist()),
        score=score_image(decoded, cells.labels, annotations.ignore),
        thumbnail=draw_thumbnail(to_grey(pixels, annotations.runs), cells.labels) if thumbnail else None,
    )


def _elongation(mask: NDArray[np.uint8]) -> float:
    """Return how long a cell is for its width; each pixel counts as a square."""
    moments = cv2.moments(mask, binaryImage=True)
    if not moments["m00"]:
        return 1.0
    y, x, both = (moments[name] / moments["m00"] for name in ("mu02", "mu20", "mu11"))
    y, x = y + 1 / 12, x + 1 / 12
    middle, apart = (y + x) / 2, np.hypot((y - x) / 2, both)
    return float(np.sqrt((middle + apart) / (middle - apart)))
