"""Building one image: what a worker does."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.annotations import FaultyImage, ImageAnnotations
from cellprep.errors import AnnotationError, CellprepError, ImageFileError, StoreError, StoreWriteError
from cellprep.images import ImageFile
from cellprep.labels import resolve_overlaps
from cellprep.rle import touching_runs
from cellprep.store import SCHEMA_VERSION, ImageContent, StoredImage, write_image
from cellprep.targets import Recipe, compute_targets

__all__ = ["ImageOutcome", "ImageTask", "Status", "build_image"]


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to build: small enough to send to another process.

    Attributes
    ----------
    annotations
        The image's record.
    image_path
        Its image file, if images are to be stored.
    recipe
        How its targets are made.
    pixel_size
        Side of a pixel in micrometres, if known.
    store
        The store's folder.
    overwrite
        Whether to build it even if the store has it as it would be.
    workspace
        The folder to write it to, under its id.
    """

    annotations: ImageAnnotations | FaultyImage
    image_path: Path | None
    recipe: Recipe
    pixel_size: float | None
    store: Path
    overwrite: bool
    workspace: Path


class Status(StrEnum):
    """What became of an image."""

    BUILT = "built"
    CURRENT = "current"
    FAILED = "failed"
    UNWRITABLE = "unwritable"


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What became of one image: what a worker sends back.

    Attributes
    ----------
    image_id
        The image.
    status
        Built and waiting in the workspace; current and left alone; failed; or failed because the store's
        disk takes no more.
    problem
        What is wrong, if it failed.
    cells
        Number of its cells.
    hidden
        Source rows of the cells that others cover entirely.
    touching
        Runs that touch the one before, in the order given and in the other.
    """

    image_id: str
    status: Status
    problem: str = ""
    cells: int = 0
    hidden: tuple[int, ...] = ()
    touching: tuple[int, int] = (0, 0)


def build_image(task: ImageTask) -> ImageOutcome:
    """Build one image into the workspace, unless the store has it as it would be. Never raises."""
    image_id = task.annotations.image_id
    try:
        return _build(task)
    except StoreWriteError as error:
        return ImageOutcome(image_id, Status.UNWRITABLE, error.reason)
    except CellprepError as error:
        return ImageOutcome(image_id, Status.FAILED, str(error))
    except MemoryError:
        return ImageOutcome(image_id, Status.FAILED, f"there is not enough memory for it{_size_of(task)}")
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are built
        problem = f"unexpected {type(error).__name__}: {error}; please report this"
        return ImageOutcome(image_id, Status.FAILED, " ".join(problem.split()))


def _build(task: ImageTask) -> ImageOutcome:
    annotations = task.annotations
    if isinstance(annotations, FaultyImage):
        raise AnnotationError(annotations.problem)
    file = ImageFile.read(task.image_path) if task.image_path else None
    recipe_hash = _recipe_hash(task, annotations, file)
    stored = _stored(task)
    if stored and stored.attributes.get("recipe") == recipe_hash and not task.overwrite:
        hidden = _rows(annotations, stored.attributes["hidden"])
        return ImageOutcome(annotations.image_id, Status.CURRENT, cells=len(annotations.rows), hidden=hidden)

    runs = annotations.runs()
    pixels = _read_pixels(file, runs.shape) if file else None
    cells = resolve_overlaps(runs, task.recipe.overlap)
    hidden_labels = cells.hidden().tolist()
    with _one_opencv_thread():
        targets = compute_targets(cells, task.recipe)
    categories = sorted(set(annotations.cell_types) - {""})
    arrays = {
        **({} if pixels is None else {"image": pixels}),
        "labels": cells.labels,
        "cells": _cells_table(annotations, cells.areas, categories),
        **targets,
    }
    of_category = [annotations.cell_types.count(name) for name in categories]
    attributes = {
        "recipe": recipe_hash,
        "options": asdict(task.recipe),
        "shape": list(runs.shape),
        "cells": len(runs),
        "hidden": hidden_labels,
        "cell_type": annotations.cell_type or None,
        "categories": categories,
        "cells_of_category": of_category,
    }
    write_image(task.workspace / annotations.image_id, ImageContent(arrays, attributes, task.pixel_size))
    height, width = runs.shape
    by_row, by_column = touching_runs(runs, width), touching_runs(runs, height)
    return ImageOutcome(
        annotations.image_id,
        Status.BUILT,
        cells=len(runs),
        hidden=_rows(annotations, hidden_labels),
        touching=(by_row, by_column) if runs.order == "row" else (by_column, by_row),
    )


def _size_of(task: ImageTask) -> str:
    image = task.annotations
    return "" if isinstance(image, FaultyImage) else f" ({image.height} x {image.width})"


def _stored(task: ImageTask) -> StoredImage | None:
    try:
        return StoredImage(task.store / task.annotations.image_id)
    except StoreError:
        return None


def _rows(annotations: ImageAnnotations, labels: list[int]) -> tuple[int, ...]:
    return tuple(annotations.rows[label - 1] for label in labels)


def _recipe_hash(task: ImageTask, annotations: ImageAnnotations, file: ImageFile | None) -> str:
    """Hash everything that the image in the store depends on."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "recipe": asdict(task.recipe),
        "pixel_size": task.pixel_size,
        "annotations": annotations.fingerprint(),
        "image": file.sha256 if file else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_pixels(file: ImageFile, shape: tuple[int, int]) -> NDArray[Any]:
    pixels = file.decode()
    if pixels.shape[-2:] != shape:
        height, width = pixels.shape[-2:]
        raise ImageFileError(
            f"{file.path} is {height} x {width} (height x width): its annotations say {shape[0]} x {shape[1]}"
        )
    return pixels


def _cells_table(annotations: ImageAnnotations, areas: NDArray[np.int64], categories: list[str]) -> NDArray[np.int64]:
    """Return the row, area and index of category (-1: none) of each annotation: (n, 3)."""
    index = {name: place for place, name in enumerate(categories)}
    types = [index.get(name, -1) for name in annotations.cell_types]
    return np.stack([np.array(annotations.rows, np.int64), areas, np.array(types, np.int64)], axis=1)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV's threads from multiplying with the worker processes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
