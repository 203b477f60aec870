"""Base classes of targets: computation, dependencies, and behaviour under flips and rotations."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.recipe import Recipe

_MOST_PANELS = 3  # largest number of pictures of one target

Done = Mapping[str, NDArray[Any]]


class Beyond(Enum):
    """Dependencies of a pixel's value on pixels beyond a fixed distance."""

    NOTHING = "nothing"
    DISTANCE = "distance"  # pixels within the value itself, a distance in pixels
    CELLS = "cells"  # all pixels of the cells within `Target.around` of the pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target: one value, or one per channel, at every pixel.

    Attributes
    ----------
    name
        Name of the array in the store.
    compute
        Takes the cells of an image or a part of it, the targets in `needs` and the recipe; returns (H, W), or
        (H, W, channels) if there are channels.
    dtype
        Name of its NumPy dtype.
    channels
        Number of channels, or a function of the recipe that returns their names; None for an array (H, W).
    about
        Description of the values, in Markdown.
    title
        Title of pictures.
    needs
        Names of the targets that it is computed from.
    around
        Function of the recipe that returns the radius in pixels in which cells and `needs` affect a value.
    beyond
        Dependencies beyond this radius.
    tolerance
        Largest difference from recomputed values, relative if a value exceeds 1, as rounding differs between
        machines.
    rule
        Name of the rule by which `cellprep verify` compares it with the labels.
    is_sampled
        Whether training uses it.
    is_stored
        Whether stores contain it. Large targets that are fast to compute are computed whenever they are read.
    is_recomputed
        Whether it is recomputed from the labels of flipped or rotated images, as its values cannot be transformed.
    """

    name: str
    compute: Callable[[Cells, Done, Recipe], NDArray[Any]]
    dtype: str
    about: str
    title: str
    rule: str
    channels: int | Callable[[Recipe], tuple[str, ...]] | None = None
    needs: tuple[str, ...] = ()
    around: Callable[[Recipe], int] = lambda _: 0
    beyond: Beyond = Beyond.NOTHING
    tolerance: float = 0.0
    is_sampled: bool = True
    is_stored: bool = True
    is_recomputed: bool = False

    kind: ClassVar[str]

    def channel_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the names of the channels; numbers from 0 if they have none."""
        if callable(self.channels):
            return self.channels(recipe)
        return tuple(map(str, range(self.channels or 0)))

    def shape(self, height: int, width: int, recipe: Recipe) -> tuple[int, ...]:
        """Return the shape of the array for an image."""
        return (height, width) if self.channels is None else (height, width, len(self.channel_names(recipe)))

    def bytes_a_pixel(self, recipe: Recipe) -> int:
        """Return the number of bytes per pixel."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape(1, 1, recipe))

    def turned(self, values: NDArray[Any], turn: NDArray[Any]) -> NDArray[Any]:
        """Return the values of pixels, (..., channels), of a flipped or rotated image.

        Parameters
        ----------
        values
            Values of the pixels at their new positions.
        turn
            (2, 2): maps offsets (y, x) from the new image's centre to those from the original image's centre.
        """
        return values

    def mirrored(self, values: NDArray[Any], signs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the values of pixels of which some are mirrored.

        Parameters
        ----------
        values
            (H, W) or (H, W, channels): values of the mirrored pixels.
        signs
            (H, W, 2): -1 where y or x is reversed, and 1 elsewhere.
        """
        return values

    def panels(self, recipe: Recipe) -> dict[str, int | None]:
        """Return the titles of its pictures, and the channel that each shows; None for all channels."""
        return {self.title: None}

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array for training: (channels, H, W), or (H, W) for an array without channels."""
        return array if self.channels is None else np.moveaxis(array, -1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values(Target):
    """Numbers that are invariant to flips and rotations.

    Attributes
    ----------
    is_logarithmic
        Whether pictures use a logarithmic scale and show cells only.
    """

    is_logarithmic: bool = False
    kind = "values"

    def panels(self, recipe: Recipe) -> dict[str, int | None]:
        """Return a picture for each channel, or for a few evenly spaced ones if there are many."""
        names = self.channel_names(recipe)
        shown = [number * len(names) // _MOST_PANELS for number in range(_MOST_PANELS)]
        return {f"{self.title}, {names[number]}": number for number in shown if names} or {self.title: None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels(Target):
    """Levels from 0, one per pixel, which networks predict as classes."""

    kind = "levels"

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the levels as class indices: (H, W) int64."""
        return array.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes(Target):
    """One channel per class; exactly one of them is 1 at each pixel.

    Attributes
    ----------
    classes
        Names of the channels.
    """

    classes: tuple[str, ...]
    kind = "classes"

    def channel_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.classes

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the class index of each pixel: (H, W) int64."""
        # Faster than argmax, as one channel is 1 and all others are 0.
        numbers: NDArray[Any] = sum(
            (number * array[..., number] for number in range(2, len(self.classes))), array[..., 1]
        )
        return numbers.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors(Target):
    """Vectors (y, x) in the image plane, which flip and rotate with the image."""

    kind = "vectors"

    def channel_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the names of the components."""
        return ("y", "x")

    def turned(self, values: NDArray[Any], turn: NDArray[Any]) -> NDArray[Any]:
        """Return the vectors in the flipped or rotated image."""
        return values @ turn.astype(np.float32) + 0.0  # turns -0.0 into 0.0

    def mirrored(self, values: NDArray[Any], signs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the mirrored vectors."""
        return values * signs + 0.0
