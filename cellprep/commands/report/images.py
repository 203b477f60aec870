"""The facts and pictures of one image in a report, as a worker measures and draws them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.check import load_readable
from cellprep.commands.report.crops import draw_crops, sparse_step, to_grey
from cellprep.commands.report.drawing import Picture, draw_thumbnail
from cellprep.commands.roundtrip.families import score_families
from cellprep.core.cells import resolve_overlaps
from cellprep.core.decode import energy_to_labels
from cellprep.core.measures import Cell
from cellprep.core.overlaps import find_overlaps
from cellprep.core.scores import ImageScore, score_image
from cellprep.core.shapes import cutouts
from cellprep.core.targets import Family, Recipe
from cellprep.core.targets.by_window import CellsOfRuns, TargetsByWindow
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.images.file import fitting
from cellprep.store.documents import is_huge, windows_of
from cellprep.system.executor import Failed


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
        Pixels on the longer side of the image's picture; 0 for none.
    families
        Whose targets to decode again.
    """

    record: ImageRecord | FaultyImage
    recipe: Recipe
    rows: tuple[tuple[int, int | None], ...]
    thumbnail: int
    families: tuple[Family, ...] = ()

    @property
    def image_id(self) -> str:
        """The image's name in the source."""
        return self.record.image_id


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The measures and pictures of one image.

    Attributes
    ----------
    image_id, cell_type
        The image's name and category.
    problem
        Why it could not be looked at; the rest is then empty.
    shape
        Height and width.
    cell_types, areas, elongations, eccentricities, solidities
        Of each cell: its category, area in pixels, the ratio of the axes of the ellipse with its moments, and what
        `cellprep.measure` calls so; NaN of a cell without pixels.
    covered_once, covered_often
        Pixels that one annotation claims, and several.
    classes
        Pixels that are cell, wall and background.
    levels
        Pixels of the mask at each energy level.
    score
        What the default decoder makes of the targets, scored.
    by_family
        What each method's own decoder makes of its own targets, scored, by the method.
    thumbnail
        The image, with its cells' outlines above it.
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
    eccentricities: tuple[float, ...] = ()
    solidities: tuple[float, ...] = ()
    covered_once: int = 0
    covered_often: int = 0
    classes: tuple[int, ...] = (0, 0, 0)
    levels: tuple[int, ...] = ()
    score: ImageScore | None = None
    by_family: dict[str, ImageScore] = field(default_factory=dict)
    thumbnail: Picture | None = None
    crops: dict[int, Picture] = field(default_factory=dict)


class _Looks(NamedTuple):
    """The facts that follow from an image's targets, as `ImageFacts` has it; huge images are not decoded."""

    classes: tuple[int, ...]
    levels: tuple[int, ...]
    score: ImageScore | None
    thumbnail: Picture | None


class _Shape(NamedTuple):
    """The shape of a cell, as `ImageFacts` has it."""

    elongation: float
    eccentricity: float
    solidity: float


def look_at_image(task: ImageTask) -> ImageFacts | Failed:
    """Measure and draw one image."""
    record = task.record
    if isinstance(record, FaultyImage):
        return Failed(record.problem)
    pixels = record.pixels.decode() if record.pixels else None
    _, annotations = load_readable(record, None if pixels is None else (pixels.shape[-2], pixels.shape[-1]))
    runs = annotations.runs
    if record.pixels and pixels is not None:
        pixels = fitting(record.pixels, pixels, runs.shape)
    if pixels is not None and pixels.shape[-2:] != runs.shape:
        pixels = None
    looks = _look_at_targets(annotations, pixels, task.recipe, thumbnail=task.thumbnail)
    families = () if is_huge(runs.shape) else task.families
    cells = resolve_overlaps(runs, task.recipe.overlap, annotations.areas) if families else None
    overlaps = find_overlaps(runs)
    shapes = [_shape(cutout.mask) for cutout in cutouts(runs)]
    return ImageFacts(
        image_id=record.image_id,
        cell_type=annotations.cell_type,
        shape=runs.shape,
        cell_types=annotations.cell_types,
        areas=tuple(runs.areas.tolist()),
        elongations=tuple(shape.elongation for shape in shapes),
        eccentricities=tuple(shape.eccentricity for shape in shapes),
        solidities=tuple(shape.solidity for shape in shapes),
        covered_once=overlaps.covered_once,
        covered_often=overlaps.covered_often,
        classes=looks.classes,
        levels=looks.levels,
        score=looks.score,
        by_family=score_families(cells, task.recipe, families, annotations.ignore) if cells else {},
        thumbnail=looks.thumbnail,
        crops=draw_crops(annotations, pixels, task.rows),
    )


def _look_at_targets(
    annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, *, thumbnail: int
) -> _Looks:
    """Measure the targets of an image, and draw it if its picture is wanted."""
    shape = annotations.runs.shape
    targets = TargetsByWindow(CellsOfRuns(annotations.runs, recipe.overlap, annotations.areas), recipe, Recipe().made)
    step = sparse_step(shape)
    seen = np.zeros([-(-size // step) for size in shape], np.int64)
    classes, levels = np.zeros(3, np.int64), np.zeros(recipe.levels, np.int64)
    score = None
    for rows, columns in windows_of(shape):
        arrays = targets.at(rows, columns)
        classes += arrays["semseg"].sum(axis=(0, 1), dtype=np.int64)
        levels += np.bincount(arrays["energy"][arrays["labels"] > 0], minlength=len(levels))
        first = [-along.start % step for along in (rows, columns)]
        part = arrays["labels"][first[0] :: step, first[1] :: step]
        top, left = (-(-along.start // step) for along in (rows, columns))
        seen[top : top + part.shape[0], left : left + part.shape[1]] = part
        if part.shape == shape:
            score = _score(arrays, annotations.ignore)
    return _Looks(
        classes=tuple(classes.tolist()),
        levels=tuple(levels.tolist()),
        score=score,
        thumbnail=draw_thumbnail(_grey(annotations, pixels, seen, step), seen, thumbnail) if thumbnail else None,
    )


def _score(arrays: Mapping[str, NDArray[Any]], ignore: NDArray[Any] | None) -> ImageScore:
    labels = arrays["labels"]
    mask, walls = (labels > 0).astype(np.uint8), arrays["semseg"][..., 1]
    return score_image(energy_to_labels(arrays["energy"], arrays["uvec"], mask, walls), labels, ignore)


def _grey(
    annotations: Annotations, pixels: NDArray[Any] | None, seen: NDArray[np.int64], step: int
) -> NDArray[np.uint8]:
    if pixels is None and step > 1:  # annotations are not counted at each pixel, for overlaps would hardly be seen
        return (30 + 60 * (seen > 0)).astype(np.uint8)
    return to_grey(None if pixels is None else pixels[..., ::step, ::step], annotations.runs)


def _shape(mask: NDArray[np.uint8]) -> _Shape:
    inside = mask[1:-1, 1:-1] > 0  # without the cutout's margin
    if not inside.any():
        return _Shape(1.0, math.nan, math.nan)
    cell = Cell(inside, (0, 0, *inside.shape))
    high, low = (along + 1 / 12 for along in cell.inertia_eigenvalues)  # each pixel counts as a square
    return _Shape(math.sqrt(high / low), cell.eccentricity, cell.area / cell.convex_area)
