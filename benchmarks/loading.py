"""Samples per second for training, compared with the speed of a network: ``python -m benchmarks.loading``."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.data import sources, temporary_folder
from benchmarks.timing import Timing, table
from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.learn.data.augmentation import AUGMENTATIONS, USUAL_AUGMENTATIONS
from cellprep.learn.data.fitting import fit_normalisation
from cellprep.learn.data.samples import CropSettings, SampleMaker
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.networks import NetworkSettings
from cellprep.store import Store
from cellprep.system.executor import one_opencv_thread
from cellprep.system.memory import keep_freed_memory

CROP = 256
WAYS = {"nothing": (), "flips": ("flips",), "usual": USUAL_AUGMENTATIONS, "all": tuple(AUGMENTATIONS)}


def measure(folder: Path, samples: int = 300, base_channels: int = 64) -> str:
    """Measure crops of each store, and a training step, on one core; return the table."""
    rows = []
    for name, store in _stores(folder).items():
        for way, augment in WAYS.items():
            for in_memory in (False, True):
                timing = _crops(store, augment, in_memory, samples)
                rows.append(_row(f"{name}, {way}, {'memory' if in_memory else 'disk'}", timing))
    rows.append(_row(f"training step of the U-Net with {base_channels} channels, per sample", _step(base_channels)))
    header = ["sample", "processor time, ms per sample: median (quartiles)", "samples per second and core (mean)"]
    return table(f"Samples of {CROP} x {CROP}", header, rows)


def _row(name: str, timing: Timing) -> list[str]:
    return [name, str(timing), f"{1000 / timing.mean:.1f}"]


def _stores(folder: Path) -> dict[str, Store]:
    """Build the stores to sample from: generated images, and real ones with pixels."""
    found = {"generated": (sources(folder)["generated"], folder / "generated" / "train")}
    if real := os.environ.get("CELLPREP_TEST_DATA"):
        nuclei = Path(real) / "dsb2018"
        found["dsb2018"] = (nuclei / "masks", nuclei / "images")
    for name, (source, images) in found.items():
        build_targets(open_source(source), folder / f"{name}.zarr", BuildOptions(quiet=True, images=images))
    return {name: open_store(folder / f"{name}.zarr") for name in found}


def _crops(store: Store, augment: tuple[str, ...], in_memory: bool, samples: int) -> Timing:
    """Time crops of random images, as a worker makes them."""
    ids = list(store)
    images = TrainingSet(store, ids)
    maker = SampleMaker(images, CropSettings(crop=CROP, augment=augment), fit_normalisation(store, ids))
    if in_memory:
        images.keep(maker.names(whole=False), copies=1)
    places = np.random.default_rng(0).integers(0, len(ids), samples)
    with one_opencv_thread():
        return _time(lambda number: maker.crop(int(places[number]), np.random.default_rng([0, number])), samples)


def _step(base_channels: int, batch: int = 2, repeats: int = 3) -> Timing:
    """Time forward, loss, backward and update of the semantic network, by sample."""
    import torch

    from cellprep.learn.losses import semseg_loss
    from cellprep.learn.networks.network import build_network

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network = build_network(NetworkSettings("semseg", base_channels=base_channels), seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    image, target = torch.zeros(batch, 1, CROP, CROP), torch.zeros(batch, CROP, CROP, dtype=torch.int64)

    def step(_: int) -> None:
        optimizer.zero_grad()
        semseg_loss(network(image), target, target == 0).backward()
        optimizer.step()

    try:
        of_batch = _time(step, repeats)
    finally:
        torch.set_num_threads(threads)
    return Timing(*(value / batch for value in (of_batch.median, of_batch.low, of_batch.high, of_batch.mean)))


def _time(function: Callable[[int], object], count: int) -> Timing:
    """Measure the processor time of a function, once for each number, after a first run."""
    figures = []
    function(0)
    for number in range(count):
        start = time.process_time()
        function(number)
        figures.append(1000 * (time.process_time() - start))
    return Timing.of(figures)


def main() -> None:
    """Print the table."""
    keep_freed_memory()
    cv2.setNumThreads(1)
    with temporary_folder() as name:
        sys.stdout.write(measure(Path(name)) + "\n")


if __name__ == "__main__":
    main()
