"""Building one image: what a worker does."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.annotations import Annotations, FaultyImage, ImageRecord
from cellprep.annotations.record import most_common
from cellprep.build.content import make_content
from cellprep.errors import AnnotationError, CellprepError, ImageFileError, StoreError, StoreWriteError
from cellprep.executor import hand_back_freed_memory, one_opencv_thread
from cellprep.rle import Runs, touching_runs
from cellprep.store import SCHEMA_VERSION, ImageContent, StoredImage
from cellprep.store.attributes import form_problem
from cellprep.store.documents import is_huge
from cellprep.store.integrity import has_all_bytes
from cellprep.store.remote import write_anywhere
from cellprep.targets import Recipe
from cellprep.wording import printable, unexpected

__all__ = ["ImageOutcome", "ImageTask", "Status", "build_image"]

_ARITHMETIC = 2  # it rises when the same recipe gives other values than before


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to build: small enough to send to another process.

    Attributes
    ----------
    record
        What its reader says of it.
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
    threads
        How many make it if it is huge.
    quiet
        Whether to show no progress bar of it if it is huge.
    """

    record: ImageRecord | FaultyImage
    recipe: Recipe
    pixel_size: float | None
    store: Path
    overwrite: bool
    workspace: Path
    threads: int = 1
    quiet: bool = True


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
    blank
        Source rows of the cells that have no pixel at all.
    runs
        Number of runs of pixels that its cells are made of.
    touching
        How many of these touch the one before, in the order given and in the other.
    attributes
        What the store says of it; nothing if it failed.
    """

    image_id: str
    status: Status
    problem: str = ""
    cells: int = 0
    hidden: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    runs: int = 0
    touching: tuple[int, int] = (0, 0)
    attributes: dict[str, Any] = field(default_factory=dict)


def build_image(task: ImageTask) -> ImageOutcome:
    """Build one image into the workspace, unless the store has it as it would be. Never raises."""
    image_id = task.record.image_id
    try:
        return _build(task)
    except StoreWriteError as error:
        return ImageOutcome(image_id, Status.UNWRITABLE, error.reason)
    except CellprepError as error:
        return ImageOutcome(image_id, Status.FAILED, str(error))
    except MemoryError:
        return ImageOutcome(image_id, Status.FAILED, "there is not enough memory for it")
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are built
        return ImageOutcome(image_id, Status.FAILED, unexpected(error))


def _build(task: ImageTask) -> ImageOutcome:
    record = task.record
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    recipe_hash = _recipe_hash(task, record)
    if not task.overwrite and (stored := _stored(task)) and stored.attributes.get("recipe") == recipe_hash:
        with suppress(StoreError):  # a damaged one is built again
            return replace(_outcome_of(record.image_id, stored), attributes=stored.attributes)

    pixels = record.pixels.decode() if record.pixels else None
    annotations = record.load(None if pixels is None else (pixels.shape[-2], pixels.shape[-1]))
    if is_huge(annotations.runs.shape):
        hand_back_freed_memory()  # which parsing has left: half a gigabyte of a million cells
    _check_sizes(pixels, annotations, record)
    _check_overlap_rule(annotations, task.recipe)
    content = make_content(annotations, pixels, task.recipe, task.threads)
    blocks = content.blocks
    if blocks and not task.quiet:
        blocks = replace(blocks, title=printable(record.image_id))
    hidden = content.hidden.tolist()
    categories = sorted(set(annotations.cell_types) - {""})
    table = _cells_table(annotations, content.areas, categories)
    arrays = _in_order({**content.arrays, "cells": table})
    pixel_size = task.pixel_size or annotations.pixel_size
    attributes = {
        "recipe": recipe_hash,
        "options": asdict(task.recipe),
        "pixel_size": pixel_size,
        "shape": list(annotations.runs.shape),
        "cells": len(annotations.runs),
        "hidden": hidden,
        "excluded": sorted(record.excluded),
        "cell_type": _cell_type(annotations) or None,
        "categories": categories,
        "cells_of_category": [annotations.cell_types.count(name) for name in categories],
    }
    with one_opencv_thread():
        written = write_anywhere(task.workspace / record.image_id, ImageContent(arrays, attributes, pixel_size, blocks))
    outcome = _outcome(record.image_id, Status.BUILT, hidden, table)
    runs = annotations.runs
    return replace(outcome, runs=len(runs.starts), touching=_touching(runs), attributes=written)


def _outcome_of(image_id: str, stored: StoredImage) -> ImageOutcome:
    hidden = stored.attributes["hidden"]
    if not hidden:
        return ImageOutcome(image_id, Status.CURRENT, cells=stored.attributes["cells"])
    return _outcome(image_id, Status.CURRENT, hidden, stored.read("cells"))


def _outcome(image_id: str, status: Status, hidden: list[int], table: NDArray[np.int64]) -> ImageOutcome:
    without_pixels = table[np.array(hidden, np.int64) - 1]
    covered = without_pixels[:, 1] > 0
    return ImageOutcome(
        image_id,
        status,
        cells=len(table),
        hidden=tuple(without_pixels[covered, 0].tolist()),
        blank=tuple(without_pixels[~covered, 0].tolist()),
    )


def _stored(task: ImageTask) -> StoredImage | None:
    try:
        stored = StoredImage(task.store / task.record.image_id)
    except StoreError:
        return None
    return stored if not form_problem(stored.attributes) and has_all_bytes(stored) else None


def _recipe_hash(task: ImageTask, record: ImageRecord) -> str:
    """Hash everything that the image in the store depends on."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "arithmetic": _ARITHMETIC,
        "recipe": asdict(task.recipe),
        "pixel_size": task.pixel_size,
        "annotations": record.fingerprint(),
        "image": record.pixels.sha256() if record.pixels else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_sizes(pixels: NDArray[Any] | None, annotations: Annotations, record: ImageRecord) -> None:
    height, width = annotations.runs.shape
    if pixels is not None and pixels.shape[-2:] != (height, width):
        swapped = ", which has height and width swapped" if pixels.shape[-2:] == (width, height) else ""
        raise ImageFileError(
            f"{record.pixels} is {pixels.shape[-2]} x {pixels.shape[-1]} (height x width): "
            f"its annotations say {height} x {width}{swapped}"
        )


def _check_overlap_rule(annotations: Annotations, recipe: Recipe) -> None:
    if annotations.overlap not in (None, recipe.overlap):
        raise AnnotationError(
            f"its overlaps were resolved by the rule {annotations.overlap}, and cannot be resolved again by "
            f"{recipe.overlap}: keep the rule, or build from the annotations"
        )


def _cells_table(annotations: Annotations, areas: NDArray[np.int64], categories: list[str]) -> NDArray[np.int64]:
    """Return the row, area and index of category (-1: none) of each annotation: (n, 3)."""
    index = {name: place for place, name in enumerate(categories)}
    types = [index.get(name, -1) for name in annotations.cell_types]
    return np.stack([np.array(annotations.rows, np.int64), areas, np.array(types, np.int64)], axis=1)


def _cell_type(annotations: Annotations) -> str:
    """Return the type of most annotations that are kept; an image without any may have one all the same."""
    return most_common(annotations.cell_types) if annotations.cell_types else annotations.cell_type


def _in_order(arrays: dict[str, Any]) -> dict[str, Any]:
    """Put the table of cells behind the labels, as stores have it."""
    names = list(arrays)
    names.insert(names.index("labels") + 1, names.pop(names.index("cells")))
    return {name: arrays[name] for name in names}


def _touching(runs: Runs) -> tuple[int, int]:
    height, width = runs.shape
    by_row, by_column = touching_runs(runs, width), touching_runs(runs, height)
    return (by_row, by_column) if runs.order == "row" else (by_column, by_row)
