"""The time of one image by stage, compared with the original and with single functions of other packages."""

import importlib
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import original
from benchmarks.data import images_of
from benchmarks.timing import Timing, table, time_each
from cellprep import Recipe, compute_targets, open_source, resolve_overlaps
from cellprep.formats.annotations.record import ImageRecord
from cellprep.store import ImageContent, write_image
from cellprep.store.arrays import encode_chunk
from cellprep.system.memory import keep_freed_memory

RECIPE = Recipe()
FLOOR = "**floor**: compute, encode, one raw file"


def content_of(image: ImageRecord) -> ImageContent:
    """Return the content of an image in the store."""
    cells = resolve_overlaps(image.load().runs)
    arrays = {"labels": cells.labels, "cells": np.zeros((len(cells.areas), 3), np.int64), **compute_targets(cells)}
    return ImageContent(arrays, {}, None)


def compute(image: ImageRecord) -> dict[str, Any]:
    """Compute all targets from run-length text."""
    return compute_targets(resolve_overlaps(image.load().runs), RECIPE)


def measure(csv: Path, folder: Path, most_images: int = 32) -> tuple[str, dict[str, Timing]]:
    """Measure the stages on evenly chosen images of a source; return a table, and the figures for the chart."""
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the command does
    everything = images_of(csv)
    images = everything[:: max(1, len(everything) // most_images)]
    rows: dict[str, Timing] = {}
    whole_csv = time_each(lambda _: list(open_source(csv).images()), range(3), repeats=1)
    per_image = len(everything)
    rows["read CSV"] = Timing(*(figure / per_image for figure in astuple(whole_csv)))
    rows["decode"] = time_each(lambda image: image.load().runs, images)
    runs = {image.image_id: image.load().runs for image in images}
    rows["overlaps"] = time_each(lambda image: resolve_overlaps(runs[image.image_id]), images)
    cells = {name: resolve_overlaps(run) for name, run in runs.items()}
    done = {name: compute_targets(cell) for name, cell in cells.items()}
    for name, target in RECIPE.made.items():
        rows[name] = time_each(_target(target.compute, cells, done), images)
    rows["**all targets from text**"] = time_each(compute, images)
    contents = {image.image_id: content_of(image) for image in images}
    rows["encode (zstd, CRC-32C)"] = time_each(lambda image: _encode(contents[image.image_id]), images)
    rows["encode and write"] = time_each(lambda image: write_image(folder / "image", contents[image.image_id]), images)
    rows[FLOOR] = time_each(lambda image: _floor(image, folder / "raw"), images)
    rows["the original's targets"] = time_each(
        lambda image: original.targets(image.masks, image.shape), images, repeats=1
    )
    for name, function in peers().items():
        rows[name] = time_each(lambda image, f=function: f(cells[image.image_id].labels), images, repeats=1)
    units = rows["**all targets from text**"].mean, rows[FLOOR].mean
    lines = [
        [name, str(timing), f"{timing.mean:.2f}", *(f"{timing.mean / unit:.2f}" for unit in units)]
        for name, timing in rows.items()
    ]
    header = ["stage", "processor time, ms per image: median (quartiles)", "mean", "x all targets", "x floor"]
    return table(f"Stages, {len(images)} images of {csv.parent.name}/{csv.name}", header, lines), rows


def peers() -> dict[str, Callable[[np.ndarray], object]]:
    """Return functions of installed packages that make targets from a label image."""
    found: dict[str, Callable[[np.ndarray], object]] = {}

    def offer(name: str, module: str, make: Callable[[Any], Callable[[np.ndarray], object]]) -> None:
        try:
            found[name] = make(importlib.import_module(module))
        except ImportError:
            return

    offer("scipy distance_transform_edt", "scipy.ndimage", lambda m: lambda x: m.distance_transform_edt(x > 0))
    offer("skimage medial_axis", "skimage.morphology", lambda m: lambda x: m.medial_axis(x > 0, return_distance=True))
    offer("skimage find_boundaries", "skimage.segmentation", lambda m: m.find_boundaries)
    offer("edt, per instance", "edt", lambda m: lambda x: m.edt(x, parallel=1))
    offer("stardist star_dist, 32 rays", "stardist.geometry", lambda m: lambda x: m.star_dist(x, 32))
    offer("cellpose labels_to_flows", "cellpose.dynamics", lambda m: lambda x: m.labels_to_flows([x]))
    return found


def _target(target: Callable[..., object], cells: dict[str, Any], done: dict[str, Any]) -> Callable[[Any], object]:
    return lambda image: target(cells[image.image_id], done[image.image_id], RECIPE)


def _encode(content: ImageContent) -> list[bytes]:
    return [encode_chunk(array) for array in content.arrays.values() if array.size]


def _floor(image: ImageRecord, path: Path) -> None:
    path.write_bytes(b"".join(_encode(content_of(image))))
