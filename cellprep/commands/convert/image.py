"""Conversion of one image in a worker."""

from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.export.losses import losses_of
from cellprep.commands.export.writing import WritingTask, Written, write_content
from cellprep.core.cells import resolve_overlaps
from cellprep.core.filling import fill_outlines
from cellprep.core.rle import Runs, WindowedRuns
from cellprep.core.windows import windows
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.content import Content, Masks, Picture
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.images.file import ImageFile, fitting
from cellprep.formats.images.pixel_size import side_of
from cellprep.store.documents import is_huge
from cellprep.store.image_ids import composed

_AT_ONCE = 1000  # cells


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConversion(WritingTask):
    """One image to convert.

    Attributes
    ----------
    record
        The image, as its reader describes it.
    overlap
        The rule that resolves overlaps.
    simplify
        The largest distance of simplified outlines from the exact ones, in pixels.
    fold
        The part of the data set that it is in.
    takes_picture
        Whether to include its picture, if there is one.
    """

    record: ImageRecord | FaultyImage
    overlap: str
    simplify: float = 0.0
    fold: str = "train"
    takes_picture: bool = False

    @property
    def image_id(self) -> str:
        """The image's name."""
        return self.record.image_id

    @property
    def has_scores(self) -> bool:
        """True if the reader already knows that there are scores."""
        return getattr(self.record, "scores", None) is not None

    def known_types(self) -> frozenset[str] | None:
        """Return the types of its cells; None if they are unknown until it is loaded."""
        if isinstance(self.record, FaultyImage):
            return frozenset()
        return self.record.loaded_types()

    def knowing(self, types: tuple[str, ...]) -> "ImageConversion":
        """Return the task with the cell types of all images."""
        return replace(self, types=types)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConverted(Written):
    """The outcome for an image.

    Attributes
    ----------
    ious
        (n,) IoU of each simplified outline and its exact cell; empty if outlines are exact.
    """

    ious: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def convert_image(task: ImageConversion) -> ImageConverted:
    """Convert one image."""
    record, annotations = _load(task)
    content = _content(task, record, annotations)
    told = write_content(task, content, _file_name(record))
    holds = task.exporter.holds
    is_visible = np.zeros(len(annotations.runs), bool)
    is_visible[np.array(content.visible, np.int64) - 1] = True
    cells = len(annotations.runs)
    written = annotations.runs.areas > 0 if "overlaps" in holds else is_visible
    return ImageConverted(
        **told,
        cells=int(np.count_nonzero(written)),
        hidden=tuple(annotations.rows[place] for place in range(cells) if not written[place]),
        **losses_of(content, task.exporter),
        ignored=annotations.ignored,
        ious=_ious(content) if task.simplify else np.zeros(0),
    )


def types_of(task: ImageConversion) -> frozenset[str]:
    """Return the types of an image's cells."""
    return frozenset(_load(task)[1].cell_types)


def _load(task: ImageConversion) -> tuple[ImageRecord, Annotations]:
    record = task.record
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    if not record.needs_shape or record.pixels is None:
        return record, record.load()
    height, width = record.pixels.decode().shape[-2:]
    return record, record.load((height, width))


def _content(task: ImageConversion, record: ImageRecord, annotations: Annotations) -> Content:
    """Return the content to write: the labels after overlaps are resolved, and the masks if some overlap."""
    runs = annotations.runs
    areas = runs.areas if annotations.areas is None else annotations.areas
    labels = _labels(runs, annotations.overlap or task.overlap, areas)
    pixels = np.bincount(labels.ravel(), minlength=len(runs) + 1)
    owned = pixels[1:] > 0
    has_overlaps = int(runs.areas.sum()) > int(pixels[1:].sum())  # some pixels are covered more than once
    return Content(
        image_id=record.image_id,
        labels=labels,
        visible=(np.flatnonzero(owned) + 1).tolist(),
        cell_types=list(compress(annotations.cell_types, owned)),
        image_type=annotations.cell_type,
        ignore=annotations.ignore if annotations.ignore is not None and annotations.ignore.any() else None,
        pixel_size=annotations.pixel_size or side_of(record.sides()),
        hidden_rows=(),
        scores=None if annotations.scores is None else list(compress(annotations.scores, owned)),
        names=None if annotations.names is None else list(compress(annotations.names, owned)),
        type_scores=None if annotations.type_scores is None else list(compress(annotations.type_scores, owned)),
        annotated=_masks(annotations) if has_overlaps else None,
        picture=_picture(task, record, runs),
        types=task.types,
        fold=task.fold,
        simplify=task.simplify,
    )


def _labels(runs: Runs, rule: str, areas: NDArray[np.int64]) -> NDArray[Any]:
    """Resolve overlaps; window by window for a huge image, to save memory."""
    if not is_huge(runs.shape):
        return resolve_overlaps(runs, rule, areas).labels
    windowed = WindowedRuns.of(runs)
    labels = np.zeros(runs.shape, np.uint16 if len(runs) <= np.iinfo(np.uint16).max else np.uint32)
    for window in windows(runs.shape):
        part, which = windowed.cut(*window)
        labels[window] = np.append(0, which + 1)[resolve_overlaps(part, rule, areas[which]).labels]
    return labels


def _masks(annotations: Annotations) -> Masks:
    """Return the masks of the cells that have pixels."""
    has_pixels = annotations.runs.areas > 0
    kept = annotations.take(has_pixels)
    return Masks(
        kept.runs,
        (np.flatnonzero(has_pixels) + 1).tolist(),
        list(kept.cell_types),
        None if kept.scores is None else list(kept.scores),
        None if kept.names is None else list(kept.names),
        None if kept.type_scores is None else list(kept.type_scores),
    )


def _ious(content: Content) -> NDArray[np.float64]:
    """Return the intersection over union of each simplified outline with its exact cell."""
    exact, outlines = content.masks().runs, list(content.outlines())
    parts = [np.zeros(0)]
    for first in range(0, len(outlines), _AT_ONCE):
        which = np.arange(first, min(first + _AT_ONCE, len(outlines)))
        rings = [[ring for polygon in outlines[place].polygons for ring in polygon] for place in which]
        parts.append(_ious_of(exact.of_annotations(which), fill_outlines(rings, content.shape)))
    return np.concatenate(parts)


def _ious_of(exact: Runs, found: Runs) -> NDArray[np.float64]:
    size = exact.shape[0] * exact.shape[1]
    ours, theirs = (np.repeat(runs.owners, runs.lengths) * size + runs.positions() for runs in (exact, found))
    shared = np.bincount(np.intersect1d(ours, theirs, assume_unique=True) // size, minlength=len(exact))
    return np.asarray(shared / (exact.areas + found.areas - shared), np.float64)


def _picture(task: ImageConversion, record: ImageRecord, runs: Runs) -> Picture:
    """Return an image's picture, included if requested.

    Raises
    ------
    AnnotationError
        If its size differs from that of the annotations.
    """
    if not (task.exporter.takes_pictures and record.pixels):
        return Picture(record.file_name)
    place = str(record.pixels.path.absolute()) if isinstance(record.pixels, ImageFile) else ""
    if not task.takes_picture:
        return Picture(place)
    decoded = record.pixels.decode()
    size: Any = fitting(record.pixels, decoded, runs.shape).shape[-2:]
    if size != runs.shape:
        raise AnnotationError(
            f"{record.pixels} is {size[0]} x {size[1]} (height x width): its annotations are "
            f"{runs.shape[0]} x {runs.shape[1]}"
        )
    return Picture(place, record.pixels, runs.shape)


def _file_name(record: ImageRecord) -> str:
    """Return the file name of an image, from which readers derive its id; an empty string if it is unknown."""
    if record.file_name or not isinstance(record.pixels, ImageFile):
        return record.file_name
    path = Path(record.pixels.path.name)
    return path.name if composed(path.stem) == record.image_id else f"{record.image_id}{path.suffix}"
