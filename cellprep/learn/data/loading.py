"""Batches of samples, made by worker processes; their number does not change the batches."""

import multiprocessing
import os
import re
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cellprep.core.targets import sampled_targets
from cellprep.errors import CellprepError, UsageError
from cellprep.learn.data.classes import CLASSES, of_each_class
from cellprep.learn.data.dataset import StoreDataset
from cellprep.learn.data.drawing import crop_batches
from cellprep.learn.data.samples import Arrays, CropSettings
from cellprep.learn.normalisation import Normalisation
from cellprep.learn.processes import processes
from cellprep.store import Store
from cellprep.system.executor import Failed, one_opencv_thread
from cellprep.system.interrupts import interrupts_kept_from_workers
from cellprep.system.memory import keep_freed_memory
from cellprep.system.places import is_remote
from cellprep.text.wording import printable

#: Tensors by name, with the samples along the first axis; and ``id``, a list of their images' ids.
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    """The problem with a sample that could not be made."""

    problem: str


class _Samples(Dataset[dict[str, Any] | _Failure]):
    """Samples for networks. It records which sample each worker is making, to report it if a worker is killed."""

    def __init__(self, dataset: StoreDataset, settings: CropSettings, workers: int) -> None:
        self.dataset = dataset
        self._settings = settings
        self._under_way = multiprocessing.RawArray("q", 2 * workers)  # per worker: process id, sample

    def __getitem__(self, index: int) -> dict[str, Any] | _Failure:
        if worker := get_worker_info():
            self._under_way[2 * worker.id : 2 * worker.id + 2] = [os.getpid(), index]
        draw = self.dataset.draw(index)
        try:
            arrays = self._for_networks(self.dataset.arrays(draw))
            return {**arrays, "id": self.dataset.ids[draw.image], **_told(draw.part)}
        except Exception as error:  # noqa: BLE001 - torch would print a traceback
            return _Failure(Failed.of(error).problem)

    def _for_networks(self, arrays: Arrays) -> Arrays:
        """Add the input mask, those of the classes if any, and the domain of vectors and energy."""
        semseg = arrays["semseg"]
        mask = (semseg == 0 if self._settings.mask == "cells" else semseg < 2).astype(np.float32)[None]
        everywhere = self.dataset.recipe.background_cell
        made = {**arrays, "mask": mask, "domain": np.ones_like(mask) if everywhere else mask}
        if names := self._settings.classes:
            made["mask"] = np.concatenate([mask, mask * of_each_class(arrays[CLASSES], len(names))])
            made["class_weights"] = np.array(self._settings.class_weights or [1.0] * len(names), np.float32)
        return made

    def under_way(self, processes: set[int]) -> list[str]:
        """Return the names of the images that the given workers were reading."""
        pairs = zip(self._under_way[::2], self._under_way[1::2], strict=True)
        images = {self.dataset.draw(sample).image for process, sample in pairs if process in processes}
        return sorted(printable(self.dataset.ids[image]) for image in images)


class Loader:
    """Batches of samples, epoch by epoch.

    A batch is a dict: ``image`` (N, C, H, W) float32, normalised, unless there is no normalisation; ``mask``
    (N, 1, H, W) float32, 0 or 1: the input mask; ``domain`` (N, 1, H, W) float32, 0 or 1: where vectors and energy are
    defined; ``semseg`` (N, H, W) int64, 0 cell, 1 wall, 2 background; ``uvec`` (N, 2, H, W) float32, components (y, x);
    ``energy`` (N, H, W) int64; ``area`` (N, H, W) float32; ``counts`` (N, H, W) bool, False for pixels to ignore, for
    padding, and around a part of a huge image; ``id``, a list of N ids; for such parts also ``part``, a list of their
    positions, such as ``y1024 x0``. The rest is as in `StoreDataset`.

    With classes, ``mask`` has one more channel for each of them, (N, 1 + classes, H, W); ``classes`` (N, H, W) int64 is
    the class of each pixel, -1 for none; and ``class_weights`` (N, classes) float32 are the same for all samples.
    """

    def __init__(self, samples: _Samples, batches: list[list[int]], workers: int, start_method: str) -> None:
        self._samples = samples
        self._batches = batches
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about more workers than cores, which are the user's choice
            self._loader = DataLoader(
                samples,
                batch_sampler=batches,
                num_workers=workers,
                multiprocessing_context=start_method if workers else None,
                collate_fn=_collate,
                worker_init_fn=_begin_worker,
                persistent_workers=workers > 0,
                pin_memory=torch.cuda.is_available(),
                generator=torch.Generator(),  # otherwise each epoch would use torch's global one
            )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._batches)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, which depend only on its number, not on earlier epochs.

        Raises
        ------
        CellprepError
            If an image cannot be read, or a worker was killed.
        """
        self._samples.dataset.set_epoch(number)
        try:
            for batch in self._begin():
                if isinstance(batch, _Failure):
                    raise CellprepError(batch.problem)
                yield batch
        except RuntimeError as error:
            if dead := re.match(r"DataLoader worker \(pid\(s\) ([\d, ]+)\)", str(error)):
                raise CellprepError(self._death({int(process) for process in dead[1].split(",")})) from error
            raise

    def _begin(self) -> Iterator[Batch | _Failure]:
        """Start an epoch; the first one starts the workers."""
        with interrupts_kept_from_workers(), _child_signals_kept(), one_opencv_thread(), warnings.catch_warnings():
            # Python 3.12 warns about forking with threads. OpenCV's threads, which workers would wait for, have ended
            # by then, and torch handles its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            return iter(self._loader)

    def _death(self, processes: set[int]) -> str:
        images = ", ".join(self._samples.under_way(processes)) or "no image yet"
        return f"a worker that loads images was killed, probably because memory ran out; it was reading {images}"


def train_loader(
    store: Store,
    ids: Sequence[str],
    settings: CropSettings,
    normalisation: Normalisation | None,
    multiple: int,
    batch_size: int,
    workers: int,
) -> Loader:
    """Load augmented random crops of images.

    All random choices depend on the seed, the epoch and the sample's position in it. Images are drawn in proportion to
    their area, at least that of a crop. By default, an epoch shows every image at least once, and as many crops of
    large images as fit into their area.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    ids
        The images.
    settings
        The settings of the samples.
    normalisation
        Normalisation of the intensities; None loads no images.
    multiple
        The sides of samples must be multiples of this, in pixels.
    batch_size
        Samples in a batch; the last one may have fewer.
    workers
        Number of processes that make samples; 0 for this process only.

    Raises
    ------
    UsageError
        If the crop is not a multiple, or the images cannot be used together, or do not fit into memory.
    StoreError
        If the metadata of an image are damaged.
    """
    if batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}: give 1 or more")
    dataset = StoreDataset(
        store,
        _targets(settings),
        settings.crop,
        settings.augment,
        settings.seed,
        ids=ids,
        normalisation=normalisation,
        samples_per_epoch=settings.samples_per_epoch,
        multiple=multiple,
        classes=settings.classes,
    )
    here = processes()
    return _loader(store, dataset, settings, crop_batches(len(dataset), batch_size, here.rank, here.count), workers)


def validation_loader(
    store: Store,
    ids: Sequence[str],
    settings: CropSettings,
    normalisation: Normalisation | None,
    multiple: int,
    workers: int,
) -> Loader:
    """Load whole images, one per batch, in the order of `ids`, neither cropped nor augmented.

    They are padded symmetrically at the bottom and the right to a multiple of `multiple` pixels. Huge images are loaded
    in parts, each with pixels around it that do not count. Parameters and errors are those of `train_loader`.
    """
    dataset = StoreDataset(
        store,
        _targets(settings),
        None,
        ids=ids,
        normalisation=normalisation,
        multiple=multiple,
        classes=settings.classes,
    )
    here = processes()
    batches = [[sample] for sample in range(len(dataset))][here.rank :: here.count]
    return _loader(store, dataset, settings, batches, workers)


def _targets(settings: CropSettings) -> list[str]:
    return [*sampled_targets(), *([CLASSES] if settings.classes else [])]


def _loader(
    store: Store, dataset: StoreDataset, settings: CropSettings, batches: list[list[int]], workers: int
) -> Loader:
    if workers < 0:
        raise UsageError(f"the number of workers is {workers}: give 0 or more")
    if settings.in_memory:
        dataset.keep_in_memory(_copies(store, workers))
    return Loader(_Samples(dataset, settings, workers), batches, workers, _start_method(store))


def _start_method(store: Store) -> str:
    """Return the start method of workers: forked ones could not use connections to an object store."""
    return "spawn" if is_remote(store.path) else multiprocessing.get_start_method()


def _copies(store: Store, workers: int) -> int:
    """Return the number of copies of the images in memory: forked processes share one."""
    return 1 if _start_method(store) == "fork" else 1 + workers


def _collate(samples: list[dict[str, Any] | _Failure]) -> Batch | _Failure:
    made = []
    for sample in samples:
        if isinstance(sample, _Failure):
            return sample
        made.append(sample)
    batch: Batch = {name: [sample.pop(name) for sample in made] for name in ("id", "part") if name in made[0]}
    batch |= {name: torch.from_numpy(np.stack([sample[name] for sample in made])) for name in made[0]}
    return _handed_over(batch) if get_worker_info() else batch


def _handed_over(batch: Batch) -> Batch | _Failure:
    """Move a batch to shared memory: torch would do so in a thread, whose errors would be lost."""
    try:
        for value in batch.values():
            if isinstance(value, Tensor):
                value.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = re.sub(r" \(\d+\)$", "", str(error).rpartition(": ")[2])
        return _Failure(
            f"a worker that loads images cannot return them through shared memory: {reason}; "
            "enlarge /dev/shm (and `ulimit -f`), or train with --workers 0"
        )
    return batch


def _told(part: tuple[slice, slice] | None) -> dict[str, str]:
    return {"part": f"y{part[0].start} x{part[1].start}"} if part else {}


def _begin_worker(number: int) -> None:
    if cv2.getNumThreads() > 1:  # not in a forked process, which would wait for threads of its parent
        cv2.setNumThreads(1)
    keep_freed_memory()


@contextmanager
def _child_signals_kept() -> Iterator[None]:
    """Keep torch from raising at an arbitrary line when a worker dies: the next batch reports it within seconds."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)
