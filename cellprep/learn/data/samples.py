"""Samples: the pixels of a crop or a whole image, and its targets; arrays, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import WholeImage
from cellprep.core.targets import TARGETS
from cellprep.errors import UsageError
from cellprep.learn.data.augmentation import AUGMENTATIONS, Plan, check_augmentations, draw_plan
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.data.views import View
from cellprep.learn.data.warp import Placement
from cellprep.learn.data.warping import warp_targets
from cellprep.learn.data.windows import Span, cut, cut_targets, turned_targets
from cellprep.learn.normalisation import Normalisation

#: What the direction network is told of where cells are: the default first.
MASKS = {
    "cells-and-walls": "all that belongs to a cell",
    "cells": "cells without their walls, which gives the walls away",
    "none": "no mask: the network sees the whole image; only where the background is a cell",
}

_AROUND = 64  # pixels around a part of an image: what lies farther off hardly changes what a network makes of it

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How samples are made of images.

    Attributes
    ----------
    crop
        Side of a sample, in pixels.
    augment
        Names in `AUGMENTATIONS`.
    mask
        A name in `MASKS`.
    samples_per_epoch
        How many samples an epoch has; unless given, as many as `crops_of` counts in all images.
    seed
        Of all that is random, from 0.
    in_memory
        Whether all images are kept in memory.

    Raises
    ------
    UsageError
        If a value is none that it can have.

    Examples
    --------
    >>> CropSettings(mask="walls")
    Traceback (most recent call last):
    cellprep.errors.UsageError: mask 'walls' is unknown: it is one of cells-and-walls, cells, none
    """

    crop: int = 256
    augment: tuple[str, ...] = tuple(AUGMENTATIONS)
    mask: str = "cells-and-walls"
    samples_per_epoch: int | None = None
    seed: int = 0
    in_memory: bool = False

    def __post_init__(self) -> None:
        check_augmentations(self.augment)
        object.__setattr__(self, "augment", tuple(self.augment))
        if self.mask not in MASKS:
            raise UsageError(f"mask {self.mask!r} is unknown: it is one of {', '.join(MASKS)}")
        check_whole_number("crop", self.crop, 1)
        check_whole_number("seed", self.seed, 0)
        if self.samples_per_epoch is not None:
            check_whole_number("samples_per_epoch", self.samples_per_epoch, 1)


class SampleMaker:
    """Makes samples of the images of a set.

    Parameters
    ----------
    images
        The set, whose `TrainingSet.targets` the samples have.
    settings
        How.
    normalisation
        Of the intensities; None makes samples without ``image``.
    """

    def __init__(self, images: TrainingSet, settings: CropSettings, normalisation: Normalisation | None) -> None:
        self.images = images
        self.settings = settings
        self.normalisation = normalisation
        self._limits: dict[int, NDArray[np.float64]] = {}
        self._whole: dict[int, WholeImage] = {}

    def names(self, whole: bool) -> list[str]:
        """Return the names of the arrays that samples are made of, be they crops or whole images."""
        targets = ["labels", "cells"] if self._warps and not whole else self.images.targets
        return [*(["image"] if self.normalisation else []), *targets, "ignore"]

    @property
    def _warps(self) -> bool:
        made = [TARGETS[name] for name in self.images.targets if name in TARGETS]
        are_moved = ["flips"] if any(target.is_recomputed for target in made) else []
        return not {"rotation", "zoom", "elastic", *are_moved}.isdisjoint(self.settings.augment)

    def crop(self, index: int, rng: np.random.Generator) -> Arrays:
        """Make a sample of a place of an image, both drawn, and augment it.

        Parameters
        ----------
        index
            The image's place in the set.
        rng
            Where the random numbers come from.

        Returns
        -------
        dict of str to ndarray
            With h = w = ``settings.crop``: ``image`` (C, h, w) float32, normalised, if there is a normalisation; each
            target as `Target.sample` has it; ``labels`` (h, w) int64, if they are wanted; ``counts`` (h, w) bool; and
            ``position`` (2,) int64: row and column of the image where the crop begins before it is moved.

        Raises
        ------
        StoreError
            If an array is damaged.
        """
        size = self.settings.crop
        start = [_draw_start(length, size, rng) for length in self.images.images[index].shape]
        plan = draw_plan(self.settings.augment, self.images.channels, rng)
        arrays = self.images.read(index, self.names(whole=False))
        if self._warps:
            return self._finish(start, *self._warp(index, arrays, start, plan), plan)
        rows, columns = (Span(first, first + size) for first in start)
        image, targets, counts = self._cut(index, arrays, rows, columns)
        turn = plan.warp.quarter_turn
        assert turn is not None
        seen = {} if image is None else {"image": np.moveaxis(image, 0, -1)}
        moved = turned_targets({**seen, "counts": counts, **targets}, turn)
        image = np.moveaxis(moved.pop("image"), -1, 0) if seen else None
        return self._finish(start, image, moved, moved.pop("counts"), plan)

    def whole(self, index: int, multiple: int, part: tuple[slice, slice] | None = None) -> Arrays:
        """Make a sample of a whole image, or of a part of it, as `crop` does, but not augmented.

        It is padded symmetrically below and at the right to a multiple of so many pixels. These do not count, nor do
        those around a part, which are there because networks see them when they predict.
        """
        arrays = self.images.read(index, self.names(whole=True))
        shape = self.images.images[index].shape
        inner = [Span(along.start, along.stop) for along in part] if part else [Span(0, length) for length in shape]
        outer = [Span(span.start - _AROUND, span.stop + _AROUND) for span in inner] if part else inner
        seen = [span.limited(length) for span, length in zip(outer, shape, strict=True)]
        rows, columns = (Span(span.start, span.start + -(-len(span) // multiple) * multiple) for span in seen)
        image, targets, counts = self._cut(index, arrays, rows, columns)
        down, across = (
            span.moved(-true.start).real(len(true)) for span, true in zip((rows, columns), inner, strict=True)
        )
        start = [rows.start, columns.start]
        return self._finish(start, image, targets, counts & down[:, None] & across)

    def _cut(
        self, index: int, arrays: Arrays, rows: Span, columns: Span
    ) -> tuple[NDArray[np.float32] | None, Arrays, NDArray[np.bool_]]:
        """Cut a window of the image, normalised, and of its targets, and return which pixels count as well."""
        height, width = self.images.images[index].shape
        targets = {name: array for name, array in arrays.items() if name != "image"}
        windows = cut_targets(targets, rows, columns)
        counts = rows.real(height)[:, None] & columns.real(width)
        if "ignore" in windows:
            counts = counts & (windows.pop("ignore") == 0)
        if "image" not in arrays:
            return None, windows, counts
        image = np.stack([cut(channel, rows, columns) for channel in arrays["image"]])
        return self._normalise(index, image, arrays["image"]), windows, counts

    def _warp(
        self, index: int, arrays: Arrays, start: Sequence[int], plan: Plan
    ) -> tuple[NDArray[np.float32] | None, Arrays, NDArray[np.bool_]]:
        """Warp the crop that begins at `start`, as `_cut` cuts it."""
        size = self.settings.crop
        middle = (size - 1) / 2
        place = Placement((middle, middle), (start[0] + middle, start[1] + middle))
        view = View(self.images.images[index].shape, plan.warp, place)
        areas = arrays["cells"][:, 1]
        whole = self._whole_of(index, arrays["labels"], len(areas))
        targets, counts = warp_targets(
            self.images.targets, arrays["labels"], areas, whole, self.images.recipe, view, size
        )
        window = view.window(Span(0, size), Span(0, size))
        if "ignore" in arrays:
            counts = counts & (window.show(window.cut(arrays["ignore"]), cv2.INTER_NEAREST) == 0)
        if "image" not in arrays:
            return None, targets, counts
        region = np.stack([window.cut(channel) for channel in arrays["image"]])
        image = self._normalise(index, region, arrays["image"])
        return np.stack([window.show(channel, cv2.INTER_CUBIC) for channel in image]), targets, counts

    def _whole_of(self, index: int, labels: NDArray[Any], count: int) -> WholeImage:
        """Return what is known of an image; its labels are not kept."""
        if index not in self._whole:
            whole = WholeImage.of(labels.__getitem__, labels.shape, count)
            self._whole[index] = whole
        return self._whole[index]

    def _normalise(self, index: int, part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float32]:
        assert self.normalisation is not None
        if index not in self._limits:
            self._limits[index] = self.normalisation.limits(whole)
        return self.normalisation.apply(part, limits=self._limits[index])

    def _finish(
        self,
        start: Sequence[int],
        image: NDArray[np.float32] | None,
        targets: Arrays,
        counts: NDArray[np.bool_],
        plan: Plan | None = None,
    ) -> Arrays:
        """Change intensities, and give the arrays the form that networks want."""
        seen = {} if image is None else {"image": plan.grey.apply(image) if plan and plan.grey else image}
        shown = {
            name: TARGETS[name].sample(targets[name]) if name in TARGETS else targets[name].astype(np.int64)
            for name in self.images.targets
        }
        return {**seen, **shown, "counts": counts, "position": np.array(start, np.int64)}


def check_whole_number(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number from `least`.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) < 2**63:
        raise UsageError(f"{name} {value!r} is not possible: give a whole number from {least}")


def _draw_start(length: int, size: int, rng: np.random.Generator) -> int:
    """Draw where a crop begins along an axis; where the image is smaller, it may be anywhere within the crop."""
    return int(rng.integers(min(0, length - size), max(0, length - size) + 1))
