"""Building of one image in a worker."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.build_targets.content import make_content
from cellprep.commands.build_targets.pixels import Lack, Lacking
from cellprep.commands.build_targets.shrinking import shrunk, still_to_shrink
from cellprep.commands.build_targets.task import ImageOutcome, ImageTask, Status
from cellprep.core.rle import Runs, touching_runs
from cellprep.core.targets import Recipe
from cellprep.errors import AnnotationError, ImageFileError, StoreError
from cellprep.formats.annotations.partial import Ignored
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord, most_common
from cellprep.formats.images.file import ImageFile, all_finite, fitting, how_turned
from cellprep.formats.images.pixel_size import enlarged, side_of
from cellprep.store import SCHEMA_VERSION, ImageContent, StoredImage
from cellprep.store.documents import is_huge
from cellprep.store.integrity import has_all_bytes
from cellprep.store.metadata import ImageMetadata
from cellprep.store.remote import write_anywhere
from cellprep.system.executor import one_opencv_thread
from cellprep.system.memory import hand_back_freed_memory
from cellprep.system.places import is_remote
from cellprep.text.wording import printable

_ARITHMETIC = 2  # increased when the same recipe gives different values than before


def build_image(task: ImageTask) -> ImageOutcome:
    """Build one image in the workspace, unless it is up to date in the store."""
    record = task.record
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    stored = _stored(task)
    try:
        outcome = _build_once(task, record, stored)
    except ImageFileError as error:
        if task.must_have_pixels or record.needs_shape or record.pixels is None:
            raise
        lack = Lack.SIZE if isinstance(error, _SizeError) else Lack.UNREADABLE
        outcome = replace(_build_once(task, replace(record, pixels=None), stored), lacking=Lacking(lack, str(error)))
    else:
        outcome = replace(outcome, lacking=task.lacking)
    return replace(outcome, had_pixels="image" in stored.arrays if stored else None)


def _build_once(task: ImageTask, record: ImageRecord, stored: StoredImage | None) -> ImageOutcome:
    if not (task.store_pixels or record.needs_shape):
        record = replace(record, pixels=None)
    image = None
    if isinstance(record.pixels, ImageFile):
        image, file = record.pixels.hashed()
        record = replace(record, pixels=file)
    elif record.pixels:
        image = record.pixels.sha256()
    options = task.recipe.to_dict()
    annotations_hash, record = record.fingerprinted()
    sides = record.sides()
    told = None if record.knows_pixel_size else side_of(sides)
    recipe_hash = _recipe_hash(task, options, annotations_hash, image, told)
    if not task.overwrite and stored and _is_current(stored, recipe_hash, task.recipe):
        with suppress(StoreError):  # a damaged image is built again
            return replace(_outcome_of(record.image_id, stored), metadata=stored.metadata, sides=sides)

    pixels, annotations, turned = _load(record)
    if is_huge(annotations.runs.shape):
        hand_back_freed_memory()  # left by parsing: half a gigabyte for a million cells
    _check_sizes(pixels, annotations, record)
    pixels = pixels if task.store_pixels else None
    _check_overlap_rule(annotations, task.recipe)
    touching = _touching(annotations.runs)
    pixel_size = task.pixel_size or annotations.pixel_size or told
    if (by := still_to_shrink(annotations, task.recipe)) > 1:
        annotations, pixels = shrunk(annotations, pixels, by, task.recipe.overlap)
        pixel_size = enlarged(pixel_size, by)
    content = make_content(annotations, pixels, task.recipe, task.threads)
    blocks = content.blocks
    if blocks and not task.quiet:
        blocks = replace(blocks, title=printable(record.image_id))
    hidden = content.hidden.tolist()
    categories = sorted(set(annotations.cell_types) - {""})
    table = _cells_table(annotations, content.areas, categories)
    arrays = _in_order({**content.arrays, "cells": table})
    attributes = {
        "recipe": recipe_hash,
        "options": options,
        "pixel_size": pixel_size,
        **_attributes_of_cells(annotations, hidden, categories, record),
        **_attributes_of_some(task, record, annotations, turned, has_pixels=pixels is not None),
    }
    with one_opencv_thread():
        written = write_anywhere(task.workspace / record.image_id, ImageContent(arrays, attributes, pixel_size, blocks))
    outcome = _outcome(record.image_id, Status.BUILT, hidden, table)
    return replace(
        outcome,
        turned=attributes.get("orientation", ""),
        has_nan=pixels is not None and not all_finite(pixels),
        touching=touching,
        ignored=annotations.ignored,
        metadata=ImageMetadata.of(written),
        sides=sides,
    )


def _attributes_of_cells(
    annotations: Annotations, hidden: list[int], categories: list[str], record: ImageRecord
) -> dict[str, Any]:
    """Return the attributes that describe the cells of an image."""
    return {
        "shape": list(annotations.runs.shape),
        "cells": len(annotations.runs),
        "hidden": hidden,
        "excluded": sorted(record.excluded),
        "cell_type": _cell_type(annotations) or None,
        "categories": categories,
        "cells_of_category": [annotations.cell_types.count(name) for name in categories],
    }


def _attributes_of_some(
    task: ImageTask, record: ImageRecord, annotations: Annotations, turned: str, *, has_pixels: bool
) -> dict[str, Any]:
    """Return the attributes that only some images have."""
    planes = getattr(record.pixels, "planes", None)
    told = {
        "orientation": turned if has_pixels else "",
        "planes": planes.to_dict() if planes and has_pixels else None,
        "ignored": None if annotations.ignored is None else annotations.ignored.counts(),
        "computed": task.recipe.computed,
    }
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def _is_current(stored: StoredImage, recipe_hash: str, recipe: Recipe) -> bool:
    if stored.metadata.recipe != recipe_hash:
        return False
    return recipe.stored.keys() <= set(stored.arrays) and has_all_bytes(stored)


def _load(record: ImageRecord) -> tuple[NDArray[Any] | None, Annotations, str]:
    """Return pixels, annotations, and how the Orientation tag was treated."""
    if record.pixels is None:
        return None, record.load(), ""
    pixels = record.pixels.decode()
    shape = (pixels.shape[-2], pixels.shape[-1])
    annotations = record.load(shape if record.needs_shape else None)
    fitted = fitting(record.pixels, pixels, annotations.runs.shape)
    return fitted, annotations, how_turned(record.pixels, pixels, fitted)


def _outcome_of(image_id: str, stored: StoredImage) -> ImageOutcome:
    told = stored.metadata
    found = ImageOutcome(image_id, Status.CURRENT, cells=told.cells)
    if told.hidden:
        found = _outcome(image_id, Status.CURRENT, told.hidden, stored.read("cells"))
    ignored = Ignored.of_counts(told.ignored) if told.ignored else None
    return replace(found, turned=told.orientation or "", ignored=ignored)


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


class _SizeError(ImageFileError):
    """A difference in size between an image file and its annotations."""


def _stored(task: ImageTask) -> StoredImage | None:
    place = task.store / task.record.image_id
    if not is_remote(place) and not os.path.exists(place):  # noqa: PTH110 - it does not raise
        return None  # faster: a reader would look for it among images that are being replaced
    try:
        stored = StoredImage(place)
        _ = stored.metadata  # valid metadata
    except StoreError:
        return None
    return stored


def _recipe_hash(
    task: ImageTask, options: dict[str, Any], annotations: str, image: str | None, told: float | None
) -> str:
    """Hash everything that the image in the store depends on; `told` is the pixel size from its file."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "arithmetic": _ARITHMETIC,
        "recipe": options,
        "pixel_size": task.pixel_size or told,
        "annotations": annotations,
        "image": image if task.store_pixels or image is None else f"only its size: {image}",
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_sizes(pixels: NDArray[Any] | None, annotations: Annotations, record: ImageRecord) -> None:
    height, width = annotations.runs.shape
    if pixels is not None and pixels.shape[-2:] != (height, width):
        swapped = "; height and width are swapped" if pixels.shape[-2:] == (width, height) else ""
        raise _SizeError(
            f"{record.pixels} is {pixels.shape[-2]} x {pixels.shape[-1]} (height x width): "
            f"its annotations are {height} x {width}{swapped}"
        )


def _check_overlap_rule(annotations: Annotations, recipe: Recipe) -> None:
    if annotations.overlap not in (None, recipe.overlap):
        raise AnnotationError(
            f"its overlaps were already resolved by the rule {annotations.overlap}, so that {recipe.overlap} cannot be "
            "applied: keep the rule, or build from the annotations"
        )


def _cells_table(annotations: Annotations, areas: NDArray[np.int64], categories: list[str]) -> NDArray[np.int64]:
    """Return the row, area and index of category (-1: none) of each annotation: (n, 3)."""
    index = {name: place for place, name in enumerate(categories)}
    types = [index.get(name, -1) for name in annotations.cell_types]
    return np.stack([np.array(annotations.rows, np.int64), areas, np.array(types, np.int64)], axis=1)


def _cell_type(annotations: Annotations) -> str:
    """Return the type of most annotations that are kept; an image without annotations may have a type, too."""
    return most_common(annotations.cell_types) if annotations.cell_types else annotations.cell_type


def _in_order(arrays: dict[str, Any]) -> dict[str, Any]:
    """Move the table of cells after the labels, the order in stores."""
    names = list(arrays)
    names.insert(names.index("labels") + 1, names.pop(names.index("cells")))
    return {name: arrays[name] for name in names}


def _touching(runs: Runs) -> tuple[int, int]:
    height, width = runs.shape
    by_row, by_column = touching_runs(runs, width), touching_runs(runs, height)
    return (by_row, by_column) if runs.order == "row" else (by_column, by_row)
