"""The base of all targets: how each is made, what it depends on, and how its values turn with the image."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.recipe import Recipe

_MOST_PANELS = 3  # of the channels of a target

Done = Mapping[str, NDArray[Any]]


class Beyond(Enum):
    """The far pixels that the value of a pixel may depend on, farther away than a fixed number of pixels."""

    NOTHING = "nothing"
    DISTANCE = "distance"  # what is not farther away than the value itself says, in pixels
    CELLS = "cells"  # all pixels of the cells that own the pixel and, as far as `Target.around` reaches, those around


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target: one value, or one for each channel, at every pixel.

    Attributes
    ----------
    name
        Of the array in the store.
    compute
        Takes the cells of an image, or of a part of it, the targets in `needs` and the recipe; returns (H, W), or
        (H, W, channels) if there are channels.
    dtype
        Name of its NumPy dtype.
    channels
        Number of channels, or what takes the recipe and returns their names; None for an array (H, W).
    about
        What it holds, in Markdown.
    title
        What a picture of it is called.
    needs
        Names of the targets that it is made from.
    around
        Takes the recipe, and returns how many pixels around a pixel its value depends on, in the cells and in `needs`.
    beyond
        What else it depends on.
    tolerance
        How far values may be from those computed again, relative to the value if that is above 1: methods round
        differently on other machines.
    rule
        What `cellprep verify` calls the rule that it must equal what follows from the labels.
    is_sampled
        Whether networks are shown it in training.
    is_stored
        Whether stores hold it. One that takes much room, and little time, is computed whenever it is read.
    is_recomputed
        Whether it is computed again from the labels of an image that is flipped or turned, as no rule turns its values.
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
        """Return the names of the channels; their numbers from 0 if they have none."""
        if callable(self.channels):
            return self.channels(recipe)
        return tuple(map(str, range(self.channels or 0)))

    def shape(self, height: int, width: int, recipe: Recipe) -> tuple[int, ...]:
        """Return the shape of the array of an image."""
        return (height, width) if self.channels is None else (height, width, len(self.channel_names(recipe)))

    def bytes_a_pixel(self, recipe: Recipe) -> int:
        """Return the size of what it has of a pixel."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape(1, 1, recipe))

    def turned(self, values: NDArray[Any], turn: NDArray[Any]) -> NDArray[Any]:
        """Return the values of pixels, (..., channels), of an image that is turned.

        Parameters
        ----------
        values
            Of the pixels where they are now.
        turn
            (2, 2): takes offsets (y, x) from the turned image's centre to those from the centre of the image before.
        """
        return values

    def mirrored(self, values: NDArray[Any], signs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the values of pixels, of which some are seen in the mirror.

        Parameters
        ----------
        values
            (H, W) or (H, W, channels): of the pixels that are mirrored.
        signs
            (H, W, 2): -1 where y or x points the other way in the mirror, and 1 elsewhere.
        """
        return values

    def panels(self, recipe: Recipe) -> dict[str, int | None]:
        """Return the titles of pictures of it, and which channel each shows; None for all at once."""
        return {self.title: None}

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return what a network is shown of it: (channels, H, W), or (H, W) of an array without channels."""
        return array if self.channels is None else np.moveaxis(array, -1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values(Target):
    """Numbers that do not change when the image turns.

    Attributes
    ----------
    is_logarithmic
        Whether pictures of it have a logarithmic scale, and show it on cells only.
    """

    is_logarithmic: bool = False
    kind = "values"

    def panels(self, recipe: Recipe) -> dict[str, int | None]:
        """Return a picture for each channel; of many, for a few that are evenly spread."""
        names = self.channel_names(recipe)
        shown = [number * len(names) // _MOST_PANELS for number in range(_MOST_PANELS)]
        return {f"{self.title}, {names[number]}": number for number in shown if names} or {self.title: None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels(Target):
    """Levels from 0: each pixel has one, which a network predicts."""

    kind = "levels"

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return it as the numbers of classes: (H, W) int64."""
        return array.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes(Target):
    """One channel for each class; exactly one of them is 1 at each pixel.

    Attributes
    ----------
    classes
        The names of the channels.
    """

    classes: tuple[str, ...]
    kind = "classes"

    def channel_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.classes

    def sample(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the number of the class of each pixel: (H, W) int64."""
        # One channel is 1 and all others are 0, so that this is faster than argmax.
        numbers: NDArray[Any] = sum(
            (number * array[..., number] for number in range(2, len(self.classes))), array[..., 1]
        )
        return numbers.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors(Target):
    """Vectors (y, x) in the image plane, which turn with it."""

    kind = "vectors"

    def channel_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the names of the components."""
        return ("y", "x")

    def turned(self, values: NDArray[Any], turn: NDArray[Any]) -> NDArray[Any]:
        """Return the vectors in the turned image."""
        return values @ turn.astype(np.float32) + 0.0  # zeros below zero become plain ones

    def mirrored(self, values: NDArray[Any], signs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the vectors as they are seen in the mirror."""
        return values * signs + 0.0
