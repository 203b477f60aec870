"""Samples: the pixels of a crop or a whole image with its targets, as arrays, without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import WholeImage
from cellprep.core.targets import TARGETS
from cellprep.errors import UsageError
from cellprep.learn.data.augmentation import (
    SIMPLE_AUGMENTATIONS,
    USUAL_AUGMENTATIONS,
    Plan,
    check_augmentations,
    draw_plan,
    finish_image,
)
from cellprep.learn.data.classes import CLASSES, classes_of_labels
from cellprep.learn.data.contacts import find_contacts
from cellprep.learn.data.scene import Scene
from cellprep.learn.data.specks import draw_empty
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.data.views import View
from cellprep.learn.data.warp import GRID, Placement
from cellprep.learn.data.warping import most_pixels_around, warp_targets
from cellprep.learn.data.windows import Span, cut, cut_targets, turned_targets
from cellprep.learn.normalisation import Normalisation

#: The input masks of the direction network, the default first.
MASKS = {
    "cells-and-walls": "all pixels of cells",
    "cells": "cells without their walls, which reveals the walls",
    "none": "no mask: the network sees the whole image; only with the background as a cell",
}

_STAGE = 384  # least number of pixels around a crop that may be changed with it; few targets depend on more
_MOST_NEW = 64  # cells
_AROUND = 64  # pixels around a part of an image: farther ones hardly affect the output of a network

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CropSettings:
    """The settings for making samples of images.

    Attributes
    ----------
    crop
        Side of a sample, in pixels.
    augment
        Names in `AUGMENTATIONS`.
    mask
        A name in `MASKS`.
    samples_per_epoch
        Number of samples in an epoch; by default, the number of crops in all images by `crops_of`.
    seed
        Random seed, from 0.
    in_memory
        Whether all images are kept in memory.
    classes
        Names of the classes of cells, in the order of the network's channels; by default none.
    class_weights
        Weight of a pixel of each class; by default 1.

    Raises
    ------
    UsageError
        If a value is not valid.

    Examples
    --------
    >>> CropSettings(mask="walls")
    Traceback (most recent call last):
    cellprep.errors.UsageError: mask 'walls' is unknown: use one of cells-and-walls, cells, none
    """

    crop: int = 256
    augment: tuple[str, ...] = USUAL_AUGMENTATIONS
    mask: str = "cells-and-walls"
    samples_per_epoch: int | None = None
    seed: int = 0
    in_memory: bool = False
    classes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_augmentations(self.augment)
        object.__setattr__(self, "augment", tuple(self.augment))
        if self.mask not in MASKS:
            raise UsageError(f"mask {self.mask!r} is unknown: use one of {', '.join(MASKS)}")
        check_whole_number("crop", self.crop, 1)
        check_whole_number("seed", self.seed, 0)
        if self.samples_per_epoch is not None:
            check_whole_number("samples_per_epoch", self.samples_per_epoch, 1)


class SampleMaker:
    """Makes samples of the images of a set.

    Parameters
    ----------
    images
        The set; its `TrainingSet.targets` are those of the samples.
    settings
        The settings of the samples.
    normalisation
        Normalisation of the intensities; None makes samples without ``image``.
    """

    def __init__(self, images: TrainingSet, settings: CropSettings, normalisation: Normalisation | None) -> None:
        self.images = images
        self.settings = settings
        self.normalisation = normalisation
        self._limits: dict[int, NDArray[np.float64]] = {}
        self._whole: dict[int, WholeImage] = {}
        self._contacts: dict[int, NDArray[np.int64]] = {}

    def names(self, whole: bool) -> list[str]:
        """Return the names of the arrays that samples are made of, for crops or for whole images."""
        targets = ["labels", "cells"] if self._warps and not whole else self._made_of
        return [*(["image"] if self.normalisation else []), *targets, "ignore"]

    @property
    def _made_of(self) -> list[str]:
        """The names of the arrays that targets are cut from; classes follow from the labels."""
        targets = [name for name in self.images.targets if name != CLASSES]
        return [*dict.fromkeys([*targets, "labels", "cells"])] if CLASSES in self.images.targets else targets

    @property
    def _warps(self) -> bool:
        made = [TARGETS[name] for name in self.images.targets if name in TARGETS]
        are_moved = {"flips"} if any(target.is_recomputed for target in made) else set()
        return not (SIMPLE_AUGMENTATIONS - are_moved).issuperset(self.settings.augment)

    def crop(self, index: int, rng: np.random.Generator) -> Arrays:
        """Make and augment a sample at a random position of an image.

        Parameters
        ----------
        index
            Index of the image in the set.
        rng
            Source of the random numbers.

        Returns
        -------
        dict of str to ndarray
            With h = w = ``settings.crop``: ``image`` (C, h, w) float32, normalised, if there is a normalisation; each
            target as in `Target.sample`; ``labels`` (h, w) int64, if requested; ``counts`` (h, w) bool; and
            ``position`` (2,) int64: row and column of the image where the crop starts, before it is moved.

        Raises
        ------
        StoreError
            If an array is damaged.
        """
        size = self.settings.crop
        start = [_draw_start(length, size, rng) for length in self.images.images[index].shape]
        plan = draw_plan(self.settings.augment, self.images.channels, rng)
        arrays = self.images.read(index, self.names(whole=False))
        if plan.contact is not None:
            start = self._at_contact(index, arrays["labels"], start, plan.contact)
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
        """Make a sample of a whole image or a part of it, as `crop` does, but without augmentation.

        It is padded symmetrically at the bottom and the right to a multiple of `multiple` pixels. The padding does not
        count, nor do the pixels around a part, which are included because networks see them at prediction.
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
        """Cut a window out of the normalised image and its targets, and return the pixels that count, too."""
        height, width = self.images.images[index].shape
        targets = {name: array for name, array in arrays.items() if name not in ("image", "cells")}
        windows = cut_targets(targets, rows, columns)
        counts = rows.real(height)[:, None] & columns.real(width)
        if CLASSES in self.images.targets:
            windows[CLASSES] = self._classes_of(index, arrays)[windows["labels"]]
        if "ignore" in windows:
            counts = counts & (windows.pop("ignore") == 0)
        if "image" not in arrays:
            return None, windows, counts
        image = np.stack([cut(channel, rows, columns) for channel in arrays["image"]])
        return self._normalise(index, image, arrays["image"]), windows, counts

    def _at_contact(self, index: int, labels: NDArray[Any], start: list[int], share: float) -> list[int]:
        """Return the start of a crop with a contact between cells in its middle; `start` if there is no contact."""
        if index not in self._contacts:
            self._contacts[index] = find_contacts(labels)
        contacts = self._contacts[index]
        if not len(contacts):
            return start
        middle = contacts[int(share * len(contacts))] - self.settings.crop // 2
        most = [max(0, length - self.settings.crop) for length in labels.shape]
        return [int(min(max(place, 0), end)) for place, end in zip(middle, most, strict=True)]

    def _warp(
        self, index: int, arrays: Arrays, start: Sequence[int], plan: Plan
    ) -> tuple[NDArray[np.float32] | None, Arrays, NDArray[np.bool_]]:
        """Warp the crop that starts at `start`, as `_cut` does for windows."""
        size = self.settings.crop
        middle = (size - 1) / 2
        place = Placement((middle, middle), (start[0] + middle, start[1] + middle))
        view = View(self.images.images[index].shape, plan.warp, place)
        normalised: Callable[[NDArray[Any]], NDArray[np.float32]] = partial(
            self._normalise, index, whole=arrays.get("image")
        )
        areas = arrays["cells"][:, 1]
        classes = self._classes_of(index, arrays) if CLASSES in self.images.targets else np.empty(0, np.int64)
        whole = self._whole.setdefault(index, WholeImage(partial(self._nobodys, index), partial(self._sizes, index)))
        if plan.changes or plan.empty is not None:
            view, scene, arrays = self._staged(view, arrays, areas, normalised)
            whole = _change(scene, plan, whole)
            arrays |= {"labels": scene.labels} | ({} if scene.image is None else {"image": scene.image})
            areas, normalised = scene.areas, lambda part: part
            classes = np.concatenate([classes, classes[scene.copied]]) if len(classes) else classes
        targets, counts = warp_targets(
            [name for name in self._made_of if name != "cells"],
            arrays["labels"],
            areas,
            whole,
            self.images.recipe,
            view,
            size,
        )
        if CLASSES in self.images.targets:
            targets[CLASSES] = classes[targets["labels"]]
        window = view.window(Span(0, size), Span(0, size))
        if "ignore" in arrays:
            counts = counts & (window.show(window.cut(arrays["ignore"]), cv2.INTER_NEAREST) == 0)
        if plan.empty is not None:
            counts = np.ones_like(counts)
        if "image" not in arrays:
            return None, targets, counts
        if plan.empty is not None:
            return self._empty(plan.empty), targets, counts
        region = normalised(np.stack([window.cut(channel) for channel in arrays["image"]]))
        return np.stack([window.show(channel, cv2.INTER_CUBIC) for channel in region]), targets, counts

    def _staged(
        self,
        view: View,
        arrays: Arrays,
        areas: NDArray[Any],
        normalised: Callable[[NDArray[Any]], NDArray[np.float32]],
    ) -> tuple[View, Scene, Arrays]:
        """Copy everything that a sample and its targets may depend on, so that it can be changed.

        The copy replaces the whole image: it extends farther than targets can depend on.
        """
        size = self.settings.crop
        stage = max(_STAGE, most_pixels_around(self.images.targets, self.images.recipe) + GRID)
        around, seen = (
            view.warp.bounds(view.place, Span(-more, size + more), Span(-more, size + more)) for more in (stage, 0)
        )
        box = [span.limited(length) for span, length in zip(around, view.shape, strict=True)]
        down, across = (slice(span.start, span.stop) for span in box)
        wanted = [name for name in ("image", "labels", "ignore") if name in arrays]
        parts: Arrays = {name: np.array(arrays[name][..., down, across]) for name in wanted}
        dtype = np.uint32 if len(areas) + _MOST_NEW > np.iinfo(np.uint16).max else np.uint16
        shown = [
            span.limited(length).moved(-whole.start) for span, length, whole in zip(seen, view.shape, box, strict=True)
        ]
        scene = Scene(
            image=normalised(parts["image"]) if "image" in parts else None,
            labels=parts["labels"].astype(dtype),
            areas=areas,
            seen=(slice(shown[0].start, shown[0].stop), slice(shown[1].start, shown[1].stop)),
        )
        y, x = (centre - span.start for centre, span in zip(view.place.image, box, strict=True))
        shape = len(box[0]), len(box[1])
        return View(shape, view.warp, Placement(view.place.sample, (y, x))), scene, parts

    def _classes_of(self, index: int, arrays: Arrays) -> NDArray[np.int64]:
        """Return the class of each label of an image, starting with label 0."""
        return classes_of_labels(self.images.images[index], arrays["cells"], self.images.classes)

    def _empty(self, seed: int) -> NDArray[np.float32]:
        """Draw a sample without cells, normalised on its own if images are."""
        assert self.normalisation is not None
        rng = np.random.default_rng(seed)
        shape = self.settings.crop, self.settings.crop
        image = np.stack([draw_empty(shape, rng) for _ in range(self.images.channels)])
        return self.normalisation.apply_alone(image)

    def _nobodys(self, index: int) -> float:
        return self._facts(index).nobodys

    def _sizes(self, index: int) -> NDArray[Any]:
        return self._facts(index).sizes

    def _facts(self, index: int) -> WholeImage:
        """Read the labels of an image for the values of the whole image, with which they would be kept."""
        read = self.images.read(index, ["labels", "cells"])
        return WholeImage.of(read["labels"].__getitem__, read["labels"].shape, len(read["cells"]))

    def _normalise(self, index: int, part: NDArray[Any], whole: Any) -> NDArray[np.float32]:
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
        """Change intensities, and convert the arrays to the form that networks need."""
        seen = {} if image is None else {"image": finish_image(plan, image) if plan else image}
        shown = {
            name: TARGETS[name].sample(targets[name]) if name in TARGETS else targets[name].astype(np.int64)
            for name in self.images.targets
        }
        return {**seen, **shown, "counts": counts, "position": np.array(start, np.int64)}


def check_whole_number(name: str, value: object, least: int) -> None:
    """Refuse values that are not whole numbers from `least`.

    Raises
    ------
    UsageError
        If it is not such a number.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) < 2**63:
        raise UsageError(f"{name} is {value!r}: give a whole number from {least}")


def _change(scene: Scene, plan: Plan, whole: WholeImage) -> WholeImage:
    """Change a scene as planned, and return the resulting values of the whole image."""
    before = np.count_nonzero(scene.labels == 0)
    if plan.empty is not None:
        scene.labels[...] = 0
    else:
        for change, seed in plan.changes:
            change(scene, np.random.default_rng(seed))
    more = np.count_nonzero(scene.labels == 0) - before
    return WholeImage(
        lambda: whole.nobodys + more,
        lambda: WholeImage.of(scene.labels.__getitem__, scene.labels.shape, len(scene.areas)).sizes,
    )


def _draw_start(length: int, size: int, rng: np.random.Generator) -> int:
    """Draw the start of a crop along an axis; a smaller image may be anywhere within the crop."""
    return int(rng.integers(min(0, length - size), max(0, length - size) + 1))
