"""Measures and pictures of one image for a report, made in a worker."""

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
        The image, as its reader describes it.
    recipe
        How targets are made.
    rows
        The annotations to draw, each with the one it is compared to, if any.
    thumbnail
        Pixels on the longer side of the image's picture; 0 for no picture.
    families
        Families whose targets are made and decoded.
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
        The image's name and type.
    problem
        Why it could not be read; the rest is then empty.
    shape
        Height and width.
    cell_types, areas, elongations, eccentricities, solidities
        Type, area in pixels, ratio of the axes of the ellipse with the same moments, eccentricity and solidity (as in
        `cellprep.measure`) of each cell; NaN for a cell without pixels.
    covered_once, covered_often
        Numbers of pixels covered by one annotation, and by several.
    classes
        Numbers of pixels of cells, walls and background.
    levels
        Number of pixels of the mask at each energy level.
    score
        The score of the targets decoded by the default decoder.
    by_family
        The score of each family's targets decoded by its own decoder, by name.
    thumbnail
        The image with the outlines of its cells.
    crops
        The picture of each annotation drawn, by row.
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
    """The fields of `ImageFacts` that follow from an image's targets; huge images are not decoded."""

    classes: tuple[int, ...]
    levels: tuple[int, ...]
    score: ImageScore | None
    thumbnail: Picture | None


class _Shape(NamedTuple):
    """The shape of a cell, as in `ImageFacts`."""

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
    """Measure the targets of an image, and draw it if a picture is requested."""
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
    if pixels is None and step > 1:  # annotations are not counted at each pixel, as overlaps would hardly be visible
        return (30 + 60 * (seen > 0)).astype(np.uint8)
    return to_grey(None if pixels is None else pixels[..., ::step, ::step], annotations.runs)


def _shape(mask: NDArray[np.uint8]) -> _Shape:
    inside = mask[1:-1, 1:-1] > 0  # without the cutout's margin
    if not inside.any():
        return _Shape(1.0, math.nan, math.nan)
    cell = Cell(inside, (0, 0, *inside.shape))
    high, low = (along + 1 / 12 for along in cell.inertia_eigenvalues)  # each pixel counts as a square
    return _Shape(math.sqrt(high / low), cell.eccentricity, cell.area / cell.convex_area)
