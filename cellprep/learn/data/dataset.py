"""Stores as torch datasets, for training with other code."""

import operator
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from cellprep.core.targets import TARGETS, sampled_targets
from cellprep.errors import SampleError, UsageError
from cellprep.learn.data.augmentation import USUAL_AUGMENTATIONS
from cellprep.learn.data.choosing import all_images
from cellprep.learn.data.classes import CLASSES
from cellprep.learn.data.drawing import CropDraws, Draw, Draws, WholeDraws
from cellprep.learn.data.fitting import fit_to
from cellprep.learn.data.samples import Arrays, CropSettings, SampleMaker, check_whole_number
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.normalisation import NORMALISATIONS, Normalisation
from cellprep.store import Store, as_store
from cellprep.system.executor import Failed
from cellprep.system.places import is_remote
from cellprep.text.wording import printable

#: Tensors by name, and ``id``, a string.
Sample = dict[str, Any]


class StoreDataset(Dataset[Sample]):
    """Crops of the images of a store, or whole images, with their targets: a map-style torch dataset.

    A sample is a dict of tensors, with h = w = `crop`:

    - ``image``, (C, h, w) float32: the normalised pixels;
    - ``labels``, (h, w) int64: 0 is the background, k the k-th cell of the image;
    - ``semseg``, (h, w) int64: 0 cell, 1 wall, 2 background;
    - ``distance``, (h, w) float32, in pixels;
    - ``uvec``, (2, h, w) float32: components y and x;
    - ``energy``, (h, w) int64: levels from 0;
    - ``area``, (h, w) float32, in pixels;
    - ``classes``, (h, w) int64, if asked for: the place of the cell's type among `classes`, -1 where there is none;
    - ``counts``, (h, w) bool: False for pixels to exclude from the loss, because they are padding, are in a region
      to ignore, or have a target that needs a whole cell that extends more than 256 pixels beyond the crop;
    - ``position``, (2,) int64: row and column of the image where the sample starts, before it is rotated or zoomed;
    - ``id``, a str: the image.

    It contains the requested targets only. Any other target in `cellprep.TARGETS` can be requested, too: as
    (channels, h, w), or (h, w) if it has no channels, in its own dtype. The targets match the augmented crop: vectors
    are flipped and rotated with the image, and after a rotation, a zoom or an elastic deformation all targets are
    recomputed from the warped labels. Distances above 240 pixels are then lower bounds.

    Crops are drawn from the images in proportion to their area, in random order. Sample k of epoch e depends only on
    the seed, e and k, not on the number of workers. `set_epoch` starts another epoch, also in persistent workers. Each
    worker opens files itself, so workers may be forked or spawned::

        dataset = StoreDataset("data.zarr", ["semseg", "uvec"])
        loader = DataLoader(dataset, batch_size=8, num_workers=4, persistent_workers=True)
        for epoch in range(50):
            dataset.set_epoch(epoch)
            for batch in loader:  # image (8, C, 256, 256), semseg (8, 256, 256), uvec (8, 2, 256, 256), ...
                ...

    Without `set_epoch`, every epoch has the same crops. Neither ``shuffle`` nor ``worker_init_fn`` is needed.
    ``crop=None`` returns the whole images in order, without augmentation; they differ in size, so use a batch size of
    1. Images of more than 4096 x 4096 pixels are split into parts of 1024 x 1024 pixels, each with 64 pixels around it
    that do not count.

    Parameters
    ----------
    store
        A store, or its path.
    targets
        Names in `cellprep.TARGETS`, ``labels`` and ``classes``. By default, ``labels`` and all targets of the store's
        recipe except ``distance``.
    crop
        Side of a crop, in pixels. Smaller images are mirrored at their border. None for whole images.
    augment
        Names of augmentations. The default is ``flips``, ``rotation``, ``zoom``, ``elastic`` and ``grey``; others are
        ``scale``, ``contacts``, ``brightness``, ``paste``, ``debris``, ``camera`` and ``empty``. Whole images have
        none.
    seed
        Seed of the crops and the augmentation, from 0.
    ids
        Ids of the images; by default all images of the store.
    normalisation
        ``dataset``, for which every image is read once, ``percentile`` or ``noise-floor``; or a `Normalisation`, such
        as that of the training images. None makes samples without ``image``, for stores without pixels.
    samples_per_epoch
        Number of crops in an epoch; by default, enough to cover the area of all images.
    multiple
        Sides of samples are multiples of this: whole images are padded with their mirror image at the bottom and the
        right.
    classes
        Names of the classes of cells, in order, if ``classes`` are requested; by default all types of the images'
        cells, sorted.
    transform
        Function that is called with each sample and returns the sample to use. It must be picklable for spawned
        workers.

    Raises
    ------
    UsageError
        If a value is not valid, an image is not in the store, or the images cannot be used together because they
        differ in their channels or recipes.
    StoreError
        If there is no store, or the metadata of an image are damaged.

    Attributes
    ----------
    ids, targets : list of str
        The images, and the targets.
    classes : list of str
        The classes of cells; none unless ``classes`` are requested.
    recipe : Recipe
        The recipe of the targets; its ``levels`` is the number of energy levels.
    normalisation : Normalisation or None
        The normalisation of the intensities.
    transform : callable or None
        As given.
    """

    def __init__(  # noqa: PLR0913 - most are given by name, and few at a time
        self,
        store: Store | Path | str,
        targets: Iterable[str] | None = None,
        crop: int | None = 256,
        augment: Iterable[str] | None = None,
        seed: int = 0,
        *,
        ids: Iterable[str] | None = None,
        normalisation: str | Normalisation | None = "dataset",
        samples_per_epoch: int | None = None,
        multiple: int = 1,
        classes: Iterable[str] = (),
        transform: Callable[[Sample], Any] | None = None,
    ) -> None:
        settings = _settings(crop, augment, samples_per_epoch, seed)
        _check_multiple(multiple, crop)
        if transform is not None and not callable(transform):
            raise UsageError(f"transform={transform!r} cannot be called: give a function that takes a sample")
        opened = as_store(store)
        chosen = all_images(opened) if ids is None else _names("ids", ids)
        wanted = _checked_targets(targets, opened, chosen)
        images = TrainingSet(opened, chosen, _channels(normalisation), wanted, _names("classes", classes))
        if isinstance(normalisation, str):
            normalisation = fit_to(images, normalisation)
        elif normalisation and images.channels != (known := normalisation.channels):
            raise UsageError(f"the images have {images.channels} channels, but the normalisation is for {known}")
        self.ids = [image.id for image in images.images]
        self.targets = images.targets
        self.classes = images.classes
        self.recipe = images.recipe
        self.normalisation = normalisation
        self.transform = transform
        self._maker = SampleMaker(images, settings, normalisation)
        self._multiple = multiple
        self._is_whole = crop is None
        self._is_remote = is_remote(opened.path)
        shapes = [image.shape for image in images.images]
        self._draws: Draws = WholeDraws(shapes) if crop is None else CropDraws(shapes, settings)
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._settle()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._settle()

    def _settle(self) -> None:
        """Record the process, and share the epoch with processes that it forks or spawns."""
        self._process = os.getpid()
        with suppress(RuntimeError):  # without shared memory there are no workers
            self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Use the samples of an epoch from now on, also in workers that are running.

        Call it before iterating over the loader.

        Parameters
        ----------
        epoch
            Number of the epoch, from 0.

        Raises
        ------
        UsageError
            If it is not a whole number from 0.
        """
        check_whole_number("epoch", epoch, 0)
        self._epoch.fill_(epoch)

    def keep_in_memory(self, copies: int = 1) -> None:
        """Read all arrays that samples are made of, and keep them in memory.

        Parameters
        ----------
        copies
            Number of copies: forked workers share one; spawned ones have one each.

        Raises
        ------
        UsageError
            If they do not fit into the available memory.
        StoreError
            If an array is damaged.
        """
        self._maker.images.keep(self._maker.names(whole=self._is_whole), copies)

    def draw(self, index: int) -> Draw:
        """Return the image of `ids` that a sample of this epoch shows, without making the sample."""
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"sample {place} of {len(self)}")
        return self._draws.of(self.epoch, place % len(self))

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self._draws)

    def __getitem__(self, index: int) -> Any:
        """Make a sample of this epoch; raises as `arrays` does."""
        draw = self.draw(index)
        # Copies, as arrays may have negative strides, or be views of arrays that are kept in memory.
        arrays = {name: np.array(array, order="C") for name, array in self.arrays(draw).items()}
        sample: Sample = {name: torch.from_numpy(array) for name, array in arrays.items()}
        sample["id"] = self.ids[draw.image]
        return sample if self.transform is None else self.transform(sample)

    def arrays(self, draw: Draw) -> Arrays:
        """Make a sample as arrays, without `transform`; they must not be written to.

        Raises
        ------
        SampleError
            If it cannot be made, for example because its image is damaged.
        """
        try:
            return self._make(draw)
        except Exception as error:
            name = f"image {printable(self.ids[draw.image])}: "
            raise SampleError(name + Failed.of(error).problem.removeprefix(name)) from error

    def _make(self, draw: Draw) -> Arrays:
        if self._is_remote and self._process != os.getpid():
            raise UsageError(
                "a forked process cannot use the connections to an object store: give the DataLoader "
                'multiprocessing_context="spawn"'
            )
        if self._is_whole:
            return self._maker.whole(draw.image, self._multiple, draw.part)
        return self._maker.crop(draw.image, np.random.default_rng([self._maker.settings.seed, draw.epoch, draw.place]))


def _settings(
    crop: int | None, augment: Iterable[str] | None, samples_per_epoch: int | None, seed: int
) -> CropSettings:
    if crop is None and (augment or samples_per_epoch):
        given = f"augment={augment!r}" if augment else f"samples_per_epoch={samples_per_epoch}"
        raise UsageError(f"{given} is for crops, but crop=None returns whole images: omit one of them")
    names = [*USUAL_AUGMENTATIONS] if augment is None else _names("augment", augment)
    side = 256 if crop is None else crop  # not used for whole images
    return CropSettings(side, tuple(names), samples_per_epoch=samples_per_epoch, seed=seed)


def _check_multiple(multiple: int, crop: int | None) -> None:
    check_whole_number("multiple", multiple, 1)
    if crop is not None and crop % multiple:
        nearest = max(1, round(crop / multiple)) * multiple
        raise UsageError(f"crop {crop} is not a multiple of {multiple}, as the network needs: give {nearest}")


def _channels(normalisation: str | Normalisation | None) -> int | None:
    """Return the number of channels of the images; 0 if images are not needed, None if it is unknown."""
    if normalisation is None or isinstance(normalisation, Normalisation):
        return normalisation.channels if normalisation else 0
    if not isinstance(normalisation, str):
        kinds = ", ".join(map(repr, NORMALISATIONS))
        raise UsageError(f"normalisation={normalisation!r} is not valid: give {kinds}, a Normalisation or None")
    return None


def _checked_targets(targets: Iterable[str] | None, store: Store, ids: list[str]) -> list[str]:
    if targets is None:
        images = (store[image_id] for image_id in ids[:1] if image_id in store)
        return ["labels", *sampled_targets(next((image.recipe for image in images), None))]
    known = ["labels", *TARGETS, CLASSES]
    names = dict.fromkeys(_names("targets", targets))
    for name in names:
        if name not in known:
            raise UsageError(f"target {name!r} is unknown: use one of {', '.join(known)}")
    return [*names]


def _names(argument: str, given: Iterable[str]) -> list[str]:
    """Return the names in an argument, checked."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(f"{argument}={given!r} is not a sequence: give a list of names")
    names = [*given]
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{argument} contains {name!r}: give names as strings")
    return names
