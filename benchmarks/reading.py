"""Reading a store as in training: random samples, whole and cropped, compared with zarr-python."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import Timing, table
from cellprep import BuildOptions, build_targets, open_source, open_store

NAMES = ("labels", "semseg", "area")


def measure(csv: Path, folder: Path, samples: int = 100) -> str:
    """Measure reads of random images in a process that has the store open."""
    source = open_source(csv)
    with_images = csv.parent / "train"
    options = BuildOptions(quiet=True, images=with_images if with_images.is_dir() else None)
    build_targets(source, folder / "reading.zarr", options)
    store = open_store(folder / "reading.zarr")
    names = [*NAMES, *(["image"] if options.images else [])]
    ids = random.Random(0).choices(list(store), k=samples)

    def ours(image_id: str) -> None:
        image = store[image_id]
        for name in names:
            image.read(name)

    def crop(image_id: str) -> None:
        image = store[image_id]
        for name in names:
            image.read(name)[:256, :256].copy()

    group = store.zarr()

    def theirs(image_id: str) -> None:
        for name in names:
            group[image_id]["labels/instances/0" if name == "labels" else name][...]

    rows = [
        [name, str(_wall(function, ids))]
        for name, function in [("whole sample", ours), ("crop of 256 x 256", crop), ("zarr-python", theirs)]
    ]
    return table(f"Reading {', '.join(names)} of a random image", ["read", "wall time, ms: median (quartiles)"], rows)


def _wall(function: Callable[[str], None], ids: list[str]) -> Timing:
    figures = []
    for image_id in ids:
        start = time.perf_counter()
        function(image_id)
        figures.append(1000 * (time.perf_counter() - start))
    return Timing.of(figures)
