"""Applying networks to whole images: from an image, and optionally its mask, to the maps for decoding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cellprep.errors import UsageError
from cellprep.formats.images.pixel_size import Sides
from cellprep.learn.data.classes import of_each_class
from cellprep.learn.devices import choose_machine
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.maps import BACKGROUND, PredictedMaps
from cellprep.learn.prediction.options import PredictionOptions, known_classes
from cellprep.learn.prediction.receptive_field import find_receptive_field
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.prediction.tiles import Tile, cut_tiles, round_up, see
from cellprep.learn.prediction.turns import TURNS
from cellprep.learn.prediction.views import class_probabilities, vectors_and_levels
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import Weights
from cellprep.system.progress import progress_bar
from cellprep.text.wording import count, printable


@dataclass(frozen=True, slots=True)
class _Stage:
    """Networks in sequence; at each step one, or several of a kind.

    Attributes
    ----------
    multiple
        The sides of an image must be multiples of this.
    margin
        Radius of their receptive field, in pixels.
    """

    multiple: int
    margin: int

    @classmethod
    def of(cls, *row: Sequence[Weights]) -> "_Stage":
        multiple = lcm(*(part.network.multiple for parts in row for part in parts))
        fields = ([find_receptive_field(part.settings) for part in parts] for parts in row if parts)
        return cls(multiple, sum(round_up(max(radii), multiple) for radii in fields))

    @property
    def least(self) -> int:
        """The smallest tile with any pixel that has the same result as in the whole image."""
        return 2 * self.margin + self.multiple


class Predictor:
    """Networks that are ready for prediction.

    Parameters
    ----------
    bundle
        The networks; they are moved to the device.
    options
        The options of the prediction.

    Raises
    ------
    UsageError
        If the device is not available, tiles are too small for the receptive field, or a diameter of cells is given but
        the weights have none.

    Attributes
    ----------
    machine : Machine
        The device and precision.
    decoding : Decoding
        The decoding of their maps.
    """

    def __init__(self, bundle: Bundle, options: PredictionOptions) -> None:
        self.bundle = bundle
        self.options = options
        self.decoding = options.decoding(bundle.decoding)
        known_classes(options.by_class, bundle.types)
        self.machine = choose_machine(options.device, options.precision)
        self._turns = TURNS if options.tta else TURNS[:1]
        self._vectors, self._energy = bundle.alike(bundle.vectors), bundle.alike(bundle.energy)
        self._semsegs = bundle.alike(bundle.semseg)
        self._instances = _Stage.of(self._vectors, self._energy)
        self._semantic = _Stage.of(self._semsegs) if bundle.semseg else None
        least = max(stage.least for stage in (self._instances, self._semantic) if stage)
        if options.tile_size < least:
            raise UsageError(
                f"tile size {options.tile_size} is too small: the receptive field of these networks extends "
                f"{(least - 1) // 2:,} pixels around each pixel, so use {least} or more"
            )
        if options.diameter and bundle.diameter is None:
            raise UsageError(
                "the weights do not have the diameter of their training cells: omit --diameter, or train again"
            )
        for part in bundle.parts:  # convolutions are faster with channels last
            part.network.to(self.machine.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def scale(self, image: Any, sides: Sides | None, shrunk: int = 1) -> Scale | None:
        """Return the scale at which the networks see an image (C, H, W); None if it is not scaled.

        Parameters
        ----------
        image
            The image.
        sides
            Sides of its pixels, (y, x) in micrometres; the pixel size in the options takes precedence.
        shrunk
            N if it is from a store that has it at 1/N of its size.
        """
        bundle, given = self.bundle, self.options.pixel_size
        height, width = image.shape[-2:]
        by = 1 if bundle.shrink % shrunk else bundle.shrink // shrunk
        if isinstance(self.options.diameter, float) and bundle.diameter:
            return Scale.of((height, width), (bundle.diameter, bundle.diameter), self.options.diameter, by)
        sides = (given, given) if given else sides
        if sides and bundle.pixel_size:
            return Scale.of((height, width), sides, bundle.pixel_size, by)
        return Scale.of((height, width), (1.0, 1.0), max(1.0, bundle.shrink / shrunk), by)

    def look(
        self,
        image: Any,
        classes: NDArray[np.uint8] | None,
        scale: Scale | None,
        types: NDArray[np.uint8] | None = None,
        **keep: bool,
    ) -> PredictedMaps:
        """Predict the maps of an image at a scale, as `predict` does; `classes` and `types` are of unscaled pixels."""
        if scale is None:
            return self.predict(image, classes, types, **keep)
        told = [None if known is None else scale.classes_of(known) for known in (classes, types)]
        return self.predict(scale.image(image), told[0], told[1], **keep)

    def decoding_at(self, scale: Scale | None) -> Decoding:
        """Return the decoding at a scale: a minimum area in the options is in pixels of the image."""
        return self.decoding if scale is None else self.options.decoding(self.bundle.decoding, prod(scale.factors))

    def predict(
        self,
        image: Any,
        classes: NDArray[np.uint8] | None = None,
        types: NDArray[np.uint8] | None = None,
        *,
        keep_uvec: bool = False,
        keep_confidence: bool = False,
    ) -> PredictedMaps:
        """Predict the maps of an image.

        Parameters
        ----------
        image
            (C, H, W), of any real dtype: an array, or a `WindowedArray`, which is read tile by tile.
        classes
            (H, W) uint8: the channel of ``semseg`` that is 1, from a given mask; by default predicted by the semantic
            network.
        types
            (H, W) uint8: the given class of each cell's pixels, as an index into the classes that the networks see, or
            `NO_TYPE`; by default predicted by the semantic network if it has classes.
        keep_uvec, keep_confidence
            Whether the vectors and the confidence are kept.

        Raises
        ------
        UsageError
            If the image or its mask do not match the networks.
        """
        image = _as_colours(image) if self.bundle.channels == 3 else image
        self._check(image, classes)
        shape = image.shape[1:]
        confidence = np.empty(shape, np.uint8) if keep_confidence else None
        uvec = np.empty((*shape, 2), np.float16) if keep_uvec else None
        walls_known = classes is None
        wanted = self.bundle.tells_instances or self._seen_types
        names = self.bundle.types if wanted else ()
        probabilities = np.empty((len(names), *shape), np.uint8) if names else None
        if classes is None:
            classes = self._find_classes(image, confidence, probabilities)
        elif names:  # the mask comes from elsewhere, and classes are still to be told
            self._find_classes(image, None, probabilities)
        seen = self._types_by_window(types if probabilities is None else None, probabilities)
        energy, still = self._find_energy(image, classes, None if walls_known else confidence, uvec, seen)
        return PredictedMaps(classes, walls_known, energy, still, confidence, uvec, names, probabilities)

    @property
    def types_needed(self) -> tuple[str, ...]:
        """The classes that must be given, as the networks see their masks, but do not predict them."""
        return () if self.bundle.types else self._seen_types

    @property
    def _seen_types(self) -> tuple[str, ...]:
        """The classes whose masks the networks that predict vectors see."""
        return self.bundle.vectors.settings.classes

    def _types_by_window(
        self, types: NDArray[np.uint8] | None, probabilities: NDArray[np.uint8] | None
    ) -> Callable[[tuple[slice, slice]], NDArray[Any]] | None:
        """Return a function from a window to the classes of its pixels; None if the networks do not see classes.

        Raises
        ------
        UsageError
            If they do, but the classes are unknown.
        """
        if not self._seen_types:
            return None
        if probabilities is not None:
            return lambda window: see(probabilities, window).argmax(axis=0)
        if types is not None:
            return lambda window: see(types, window)
        names = ", ".join(map(printable, self._seen_types))
        raise UsageError(
            f"{self.bundle.vectors.settings.name} needs the classes of the cells ({names}): give weights of a semseg "
            "with these classes, or a store whose cells have types"
        )

    def _check(self, image: Any, classes: NDArray[np.uint8] | None) -> None:
        if image.ndim != 3 or len(image) != self.bundle.channels or not image.size:
            fits = f"but the weights are for {self.bundle.channels}"
            if image.ndim != 3 or not image.size:
                raise UsageError(f"the image is {image.shape}, {fits}")
            advice = "select or average channels, or use weights for this number"
            if len(image) > self.bundle.channels:
                advice += "; for files, --channel selects channels, and --grey converts RGB to one channel"
            raise UsageError(f"the image has {count(len(image), 'channel')}, {fits}: {advice}")
        is_array = isinstance(image, np.ndarray)  # other objects check this when they are read
        if image.dtype.kind not in "uif" or (is_array and image.dtype.kind == "f" and not np.isfinite(image).all()):
            raise UsageError("the image contains values that are not finite")
        if classes is not None and classes.shape != image.shape[1:]:
            sizes = [f"{height} x {width}" for height, width in (classes.shape, image.shape[1:])]
            raise UsageError(f"the mask is {sizes[0]}, but the image {sizes[1]} (height x width)")

    def _find_classes(
        self, image: Any, confidence: NDArray[np.uint8] | None, types: NDArray[np.uint8] | None
    ) -> NDArray[np.uint8]:
        """Return the class of each pixel; fill in its confidence, and the probabilities of the classes of cells."""
        assert self._semantic is not None
        shape = image.shape[1:]
        classes = np.empty(shape, np.uint8)
        normalise = _normaliser(self._semsegs, image)
        networks = [part.network for part in self._semsegs]

        def given(window: tuple[slice, slice]) -> list[NDArray[np.float32]]:
            return normalise(see(image, window))

        def answer(*pixels: Tensor) -> list[Tensor]:
            probabilities, *of_types = class_probabilities(networks, pixels, self._turns)
            found = [probabilities.argmax(1).to(torch.uint8), _as_byte(1 - probabilities[:, BACKGROUND])]
            return [*found, *map(_as_byte, of_types if types is not None else [])]

        for tile, (found, sure, *of_types) in self._by_tiles(self._semantic, shape, given, answer):
            classes[tile.core] = found
            if confidence is not None:
                confidence[tile.core] = sure
            if types is not None:
                types[(..., *tile.core)] = of_types[0]
        return classes

    def _find_energy(
        self,
        image: Any,
        classes: NDArray[np.uint8],
        confidence: NDArray[np.uint8] | None,
        uvec: NDArray[np.float16] | None,
        types: Callable[[tuple[slice, slice]], NDArray[Any]] | None,
    ) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_]]:
        weights = self.bundle.vectors
        shape = image.shape[1:]
        energy = np.empty(shape, np.uint8) if self.bundle.tells_instances else None
        still = np.zeros(shape, bool)
        normalise = _normaliser(self._vectors, image)
        networks, deeper = ([part.network for part in parts] for parts in (self._vectors, self._energy))

        def given(window: tuple[slice, slice]) -> list[NDArray[np.float32]]:
            inside = _input_mask(see(classes, window), weights).astype(np.float32)[np.newaxis]
            if types:
                inside = np.concatenate([inside, inside * of_each_class(types(window), len(self._seen_types))])
            return [*normalise(see(image, window)), inside]

        def answer(*seen: Tensor) -> list[Tensor]:
            *pixels, mask = seen
            vectors, levels = vectors_and_levels(networks, pixels, mask, self._turns, deeper)
            found = [(vectors == 0).all(1), vectors]
            if levels is not None:
                highest, level = levels.max(1)
                found += [level.to(torch.uint8), _as_byte(highest)]
            return found

        for tile, (zero, vectors, *levels) in self._by_tiles(self._instances, shape, given, answer):
            inside = _input_mask(classes[tile.core], weights)
            if (zero & inside).any():  # untouched pages take no memory
                still[tile.core] = zero & inside
            if energy is not None:
                energy[tile.core] = levels[0] * inside
                if confidence is not None:
                    confidence[tile.core] = levels[1]
            if uvec is not None:
                uvec[tile.core] = np.moveaxis(vectors, 0, 2)
        return energy, still

    def _by_tiles(
        self,
        stage: _Stage,
        shape: tuple[int, int],
        given: Callable[[tuple[slice, slice]], list[NDArray[np.float32]]],
        answer: Callable[..., list[Tensor]],
    ) -> Iterator[tuple[Tile, list[NDArray[Any]]]]:
        """Yield each tile with the networks' results for its core; ``given`` takes a window."""
        tiles = cut_tiles(shape, stage.multiple, stage.margin, self.options.tile_size)
        size = self.options.batch_size
        quiet = self.options.quiet or len(tiles) <= size
        with progress_bar(len(tiles), "tile", quiet=quiet, leave=False) as bar:
            for first in range(0, len(tiles), size):
                batch = tiles[first : first + size]
                columns = zip(*(given(tile.window) for tile in batch), strict=True)
                tensors = [torch.from_numpy(np.stack(column)).to(self.machine.device) for column in columns]
                with self.machine.predicting():
                    answers = [tensor.cpu().numpy() for tensor in answer(*tensors)]
                for place, tile in enumerate(batch):
                    yield tile, [array[place][(..., *tile.inner)] for array in answers]
                bar.update(len(batch))


def _normaliser(parts: Sequence[Weights], image: Any) -> Callable[[NDArray[Any]], list[NDArray[np.float32]]]:
    """Return a function that normalises parts of an image for each network; percentiles are computed once."""
    limits = {}
    for weights in parts:
        if weights.normalisation is None:
            raise UsageError(f"the weights of {weights.settings.name} have no normalisation")
        if weights.normalisation not in limits:
            limits[weights.normalisation] = weights.normalisation.limits(image)

    def normalise(pixels: NDArray[Any]) -> list[NDArray[np.float32]]:
        done = {how: how.apply(pixels, limits=known) for how, known in limits.items()}
        return [done[weights.normalisation] for weights in parts if weights.normalisation]

    return normalise


def _as_colours(image: Any) -> Any:
    """Return a grey image as colours: three equal channels are stored as one."""
    if image.ndim != 3 or len(image) != 1:
        return image
    return np.broadcast_to(image, (3, *image.shape[1:])) if isinstance(image, np.ndarray) else image.with_channels(3)


def _input_mask(classes: NDArray[np.uint8], weights: Weights) -> NDArray[np.bool_]:
    """Return the input mask for a network."""
    inside: NDArray[np.bool_] = classes == 0 if weights.mask == "cells" else classes != BACKGROUND
    return inside


def _as_byte(probability: Tensor) -> Tensor:
    return (probability * 255).round().to(torch.uint8)
