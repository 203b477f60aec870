"""Measurement of the cells of one image in a worker."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import look_up
from cellprep.core.measures.by_window import Columns, Readable, in_micrometres, measure_cells
from cellprep.core.measures.region import Read
from cellprep.core.targets.by_window import CellsOfRuns
from cellprep.core.windows import Window
from cellprep.errors import AnnotationError, ImageFileError
from cellprep.formats.annotations.partial import Ignored
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.cellprep_store import StoredLabels, StoredPixels
from cellprep.formats.images.file import fitting
from cellprep.formats.images.pixel_size import Sides, side_of
from cellprep.store import StoredImage
from cellprep.store.documents import is_huge, windows_of
from cellprep.system.executor import one_opencv_thread
from cellprep.text.frames import encodable


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """One image to measure: small enough to send to another process, unless its arrays are in memory.

    Attributes
    ----------
    number
        Its place among all images.
    record
        The image, as its reader describes it.
    properties
        Names in `PROPERTIES`.
    overlap
        The rule that resolves overlaps.
    pixel_size
        Side of a pixel in micrometres, to replace that of the source.
    needs_image
        Whether it fails without an image.
    """

    number: int
    record: ImageRecord | FaultyImage
    properties: tuple[str, ...]
    overlap: str
    pixel_size: float | None
    needs_image: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """The measures of the cells in one image.

    Attributes
    ----------
    columns
        (n,) each, by name.
    channels
        The number of the image's channels; 0 if there is no image.
    ignored
        How much of the image is ignored, if the source marks regions to ignore.
    sides
        The sides of a pixel, if its files have them.
    """

    columns: Columns
    channels: int
    ignored: Ignored | None = None
    sides: Sides | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """The labels of an image, and facts about each label from 1 to n.

    Attributes
    ----------
    shape
        (H, W), in pixels.
    read
        Function that returns the labels in a window.
    rows, cell_types
        (n,) each, as in `Annotations`.
    pixel_size
        Side of a pixel in micrometres, if known.
    ignored
        As in `Annotations`.
    type_scores
        (n,) probability of each label's type, if known.
    """

    shape: tuple[int, int]
    read: Read
    rows: NDArray[np.int64]
    cell_types: NDArray[Any]
    pixel_size: float | None
    ignored: Ignored | None = None
    type_scores: NDArray[np.float64] | None = None


def measure_image(task: MeasureTask) -> Measured:
    """Measure the cells of one image."""
    record = task.record
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    if task.needs_image and record.pixels is None:
        raise ImageFileError("there is no image in which to measure intensities: give a folder of images (--images)")
    decoded = None
    if record.pixels is not None and not isinstance(record.pixels, StoredPixels):  # which are read in windows
        decoded = record.pixels.decode()
    known = _stored(record) if isinstance(record, StoredLabels) else _annotated(record, task.overlap, decoded)
    channels, pixels = _pixels(record, decoded, known)
    image = Readable(known.shape, known.read, list(windows_of(known.shape)), channels, pixels)
    with one_opencv_thread():
        measured = measure_cells(image, task.properties)
    sides = record.sides()
    side = task.pixel_size or known.pixel_size or side_of(sides)
    return Measured(_complete(measured, task, record, known, side), channels, known.ignored, sides)


def _complete(measured: Columns, task: MeasureTask, record: ImageRecord, known: _Known, side: float | None) -> Columns:
    """Add the facts about each cell before its measures, and lengths in micrometres after them."""
    labels = measured.pop("label")
    rows, cell_types = known.rows[labels - 1], known.cell_types[labels - 1]
    columns: Columns = {
        "image": np.full(len(labels), encodable(record.image_id), object),
        "label": rows if record.rows_are_labels else labels,
        "row": rows,
    }
    if cell_types.astype(bool).any():
        columns["cell_type"] = np.array([encodable(name) or None for name in cell_types], object)
    if known.type_scores is not None:
        columns["class_probability"] = known.type_scores[labels - 1]
    if side:
        for name in task.properties:
            measured |= in_micrometres(name, measured, side)
    return columns | measured


def _stored(record: StoredLabels) -> _Known:
    image = record.image.latest()
    table, told = image.read("cells"), image.metadata
    categories = record.categories.renamed(told.categories) if record.categories else told.categories
    names = np.array([*categories, ""], object)  # for index -1
    labels = np.arange(len(table) + 1)
    ignored = None
    if record.partial or record.categories:
        annotations = record.load()
        labels[1:] *= np.isin(table[:, 0], annotations.rows)  # cells keep their numbers
        ignored = annotations.ignored

    def read(window: Window) -> NDArray[Any]:
        here = image.read("labels", (window[0], window[1]))
        return look_up(labels, here) if record.partial or record.categories else here

    return _Known(
        image.shape,
        _whole_or_windows(read, image.shape),
        table[:, 0],
        names[table[:, 2]],
        told.pixel_size,
        ignored,
    )


def _annotated(record: ImageRecord, overlap: str, decoded: NDArray[Any] | None) -> _Known:
    shape = None if decoded is None else (decoded.shape[-2], decoded.shape[-1])
    annotations = record.load(shape if record.needs_shape else None)
    cells = CellsOfRuns(annotations.runs, annotations.overlap or overlap, annotations.areas)

    def read(window: Window) -> NDArray[Any]:
        here, labels = cells.at(window)
        return here.labels if labels is None else look_up(labels, here.labels)

    return _Known(
        cells.shape,
        _whole_or_windows(read, cells.shape),
        np.array(annotations.rows, np.int64),
        np.array(annotations.cell_types, object),
        annotations.pixel_size,
        annotations.ignored,
        None if annotations.type_scores is None else np.array(annotations.type_scores, float),
    )


def _whole_or_windows(read: Read, shape: tuple[int, int]) -> Read:
    """Return a function that reads windows, from an array of the whole image unless it is huge."""
    if is_huge(shape):
        return read
    return read(tuple(slice(0, size) for size in shape)).__getitem__


def _pixels(record: ImageRecord, decoded: NDArray[Any] | None, known: _Known) -> tuple[int, Read | None]:
    """Return the number of channels of an image, and a function that reads its windows."""
    if isinstance(record.pixels, StoredPixels):
        image: StoredImage = record.pixels.image.latest()
        shape, _ = image.form("image")
        _check_size(record, shape, known)

        def read_window(window: Window) -> NDArray[Any]:
            return _as_channels(image.read("image", (window[-2], window[-1])))

        read = _whole_or_windows(read_window, known.shape)
        return shape[0] if len(shape) == 3 else 1, lambda window: read((slice(None), *window))
    if decoded is None or record.pixels is None:
        return 0, None
    fitted = fitting(record.pixels, decoded, known.shape)
    _check_size(record, fitted.shape, known)
    pixels = _as_channels(fitted)
    return len(pixels), lambda window: pixels[:, *window]


def _check_size(record: ImageRecord, shape: tuple[int, ...], known: _Known) -> None:
    if len(shape) not in (2, 3) or shape[-2:] != known.shape:
        found, said = (" x ".join(map(str, size)) for size in (shape, known.shape))
        hint = "; channels must come first" if len(shape) == 3 and shape[:2] == known.shape else ""
        raise ImageFileError(f"{record.pixels} has {found} pixels, but its cells {said}{hint}")


def _as_channels(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels
