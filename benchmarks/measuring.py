"""Measuring cells, compared with scikit-image's regionprops_table: ``python -m benchmarks.measuring``."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.matching import draw
from benchmarks.timing import table
from cellprep import PROPERTIES
from cellprep.core.measures import DEFAULT_PROPERTIES
from cellprep.core.measures.by_window import Columns, Readable, measure_cells

OURS = ("touching_cells", "nearest_distance", "intensity_sum")  # not in scikit-image
SHARED = tuple(name for name in DEFAULT_PROPERTIES if name not in OURS)
ALL_SHARED = tuple(name for name in PROPERTIES if name not in OURS)

Image = tuple[NDArray[np.integer], NDArray[np.number]]


def images() -> Iterator[Image]:
    """Yield labels and pixels: those of DSB 2018, or generated ones."""
    data = os.environ.get("CELLPREP_TEST_DATA")
    if not data:
        yield from (_drawn(count, side) for count, side in ((80, 520), (600, 704)))
        return
    for path in sorted(Path(data, "dsb2018", "masks").glob("*.tif")):
        yield tifffile.imread(path), tifffile.imread(path.parent.parent / "images" / path.name)


def _drawn(count: int, side: int) -> Image:
    labels, _ = draw(count, side)
    return labels, np.random.default_rng(0).integers(0, 255, labels.shape, dtype=np.uint8)


def ours(image: Image, properties: tuple[str, ...]) -> Columns:
    """Measure as cellprep does."""
    labels, pixels = image
    whole = tuple(slice(0, size) for size in labels.shape)
    readable = Readable(labels.shape, labels.__getitem__, [whole], 1, lambda window: pixels[np.newaxis, *window])
    return measure_cells(readable, properties)


def theirs(image: Image, properties: tuple[str, ...]) -> Columns:
    """Measure as scikit-image does."""
    from skimage.measure import regionprops_table

    columns: Columns = regionprops_table(*image, properties=("label", *properties))
    return columns


def _cost(way: Callable[[Image, tuple[str, ...]], Columns], properties: tuple[str, ...]) -> tuple[int, float, float]:
    """Return the number of cells, the seconds of processor time, and the peak growth of memory in MB."""
    way(next(images()), properties)  # loads the libraries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells, seconds = 0, 0.0
    for image in images():
        start = process_time()
        cells += len(way(image, properties)["label"])
        seconds += process_time() - start
    return cells, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000


def check_equal() -> str:
    """Compare all values of all images to the last bit; return a description of the comparison."""
    cells = 0
    for image in images():
        found, expected = ours(image, ALL_SHARED), theirs(image, ALL_SHARED)
        assert list(found) == list(expected)
        for name, values in expected.items():
            assert found[name].dtype == values.dtype, name
            assert np.array_equal(found[name], values, equal_nan=True), name
        cells += len(found["label"])
    return f"{cells:,} cells: {len(expected)} columns are equal to the last bit"


def measure() -> str:
    """Measure both in separate processes; return a table."""
    rows = []
    for name, way, properties in (
        ("cellprep, shared properties", ours, SHARED),
        ("regionprops_table, shared properties", theirs, SHARED),
        ("cellprep, default properties", ours, DEFAULT_PROPERTIES),
    ):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            cells, seconds, grown = pool.submit(_cost, way, properties).result()
        rows.append([name, f"{cells:,}", f"{seconds:.1f}", f"{1e6 * seconds / cells:.0f}", f"{grown:.0f}"])
    return table(
        "Measuring cells", ["function", "cells", "processor time, s", "µs per cell", "peak memory, + MB"], rows
    )


if __name__ == "__main__":
    sys.stdout.write(measure() + f"\n\n{check_equal()}\n")
