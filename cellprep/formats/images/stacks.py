"""Stacks: images with several channels, z planes or times, and the selection of planes; and scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.planes import StackOptions
from cellprep.text.wording import count, printable

#: Computes one plane, (H, W, ...), from all z planes, (Z, H, W, ...).
Projection = Callable[[NDArray[Any]], NDArray[Any]]

_FLAGS = {"C": "--channel", "Z": "--z", "T": "--time"}
_WORDS = {"C": "channel", "Z": "z plane", "T": "time"}
_LUMINANCE = (0.2125, 0.7154, 0.0721)  # as in scikit-image's rgb2gray, from Rec. 709
_RGB = ("red", "green", "blue")
_NAMED = 10  # scenes listed in a message


@dataclass(frozen=True, slots=True)
class Stack:
    """Axes of an image.

    Attributes
    ----------
    axes
        A letter for each: T (time), C (channel), Z, Y, X, S (samples of a colour), others as in tifffile.
    shape
        Their lengths.
    names
        Names of the channels, if the metadata have them.
    """

    axes: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()

    def size(self, axis: str) -> int:
        """Return the length of an axis; 1 if there is no such axis."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def told(self, options: StackOptions) -> "Stack":
        """Return the stack with a name for its only unnamed axis, if a single option implies it.

        Examples
        --------
        >>> Stack("IYX", (9, 6, 8)).told(StackOptions(z="max")).axes
        'ZYX'
        """
        asked = [
            axis
            for axis, given in (
                ("C", bool(options.channel)),
                ("Z", options.z is not None),
                ("T", options.time is not None),
            )
            if given
        ]
        unnamed = [place for place, axis in enumerate(self.axes) if axis in "IQ" and self.shape[place] > 1]
        if len(unnamed) != 1 or len(asked) != 1 or self.size(asked[0]) > 1:
            return self
        axes = self.axes.replace(asked[0], "_")
        return replace(self, axes=axes[: unnamed[0]] + asked[0] + axes[unnamed[0] + 1 :])

    def description(self) -> str:
        """Describe the axes other than height and width.

        Examples
        --------
        >>> Stack("ZCYX", (5, 2, 6, 8), ("DAPI", "GFP")).description()
        '2 channels (DAPI, GFP) and 5 z planes'
        """
        parts = [
            count(self.size(axis), word) + (self._named() if axis == "C" and self.names else "")
            for axis, word in _WORDS.items()
            if self.size(axis) > 1
        ]
        parts += [
            f"{size} unnamed pages" if axis in "IQ" else f"{size} along the axis {axis}"
            for axis, size in zip(self.axes, self.shape, strict=True)
            if axis not in "TCZYXS" and size > 1
        ]
        return _listed(parts)

    def _named(self) -> str:
        return f" ({', '.join(map(printable, self.names))})"

    def problem(self, options: StackOptions | None) -> str:
        """Describe why it cannot be read as it is, with the options that help; no options for None."""
        sizes = " x ".join(f"{axis} {size}" for axis, size in zip(self.axes, self.shape, strict=True))
        advice = None if options is None else self.advice(options)
        return f"it is a stack ({sizes}): {advice or 'images have y, x, and at most one axis of channels'}"

    def advice(self, options: StackOptions) -> str | None:
        """Describe its axes, with the options needed in addition to those given; None if no option helps.

        Examples
        --------
        >>> Stack("ZCYX", (5, 2, 6, 8)).advice(StackOptions())
        'it has 2 channels and 5 z planes: give --channel and --z'
        """
        # C may have several entries.
        given = {"C": options.chooses, "Z": options.z is not None, "T": options.time is not None}
        missing = [flag for axis, flag in _FLAGS.items() if self.size(axis) > 1 and not given[axis]]
        unnamed = [axis for axis, size in zip(self.axes, self.shape, strict=True) if axis not in "TCZYXS" and size > 1]
        if unnamed in (["I"], ["Q"]) and not missing:
            return f"it has {self.description()}: give one of --z, --channel and --time to define them"
        return f"it has {self.description()}: give {_listed(missing)}" if missing and not unnamed else None

    def channels(self, options: StackOptions) -> list[int]:
        """Return the indices of the selected channels, in order; by default all.

        Raises
        ------
        ImageFileError
            If a channel does not exist, a name is not unique, or a channel is selected twice.
        """
        places = [self._channel(one) for one in options.channel] or list(range(self.size("C")))
        if len(set(places)) < len(places):
            raise ImageFileError(f"a channel is selected twice: {', '.join(map(str, options.channel))}")
        return places

    def _channel(self, chosen: str | int) -> int:
        number = self.size("C")
        named = [place for place, name in enumerate(self.names) if name == chosen]
        if len(named) > 1:
            raise ImageFileError(
                f"several of its channels are called {chosen!r}: give the number ({self._all_channels()})"
            )
        if named:
            return named[0]
        place = chosen if isinstance(chosen, int) else int(chosen) if chosen.isdecimal() else -1
        if not 0 <= place < number:
            raise ImageFileError(f"it has no channel {chosen!r}: it has {self._all_channels()}")
        return place

    def _all_channels(self) -> str:
        number = self.size("C")
        if not self.names:
            return (
                f"{count(number, 'channel')} without names, 0 to {number - 1}" if number > 1 else "one without a name"
            )
        return ", ".join(f"{place} {printable(name)}" for place, name in enumerate(self.names))

    def place(self, axis: str, options: StackOptions) -> int | None:
        """Return the selected index along z or time; None if all are projected.

        Raises
        ------
        ImageFileError
            If the index does not exist, or there are several and none is selected.
        """
        size, word, chosen = self.size(axis), _WORDS[axis], options.z if axis == "Z" else options.time
        if isinstance(chosen, str):
            return None if size > 1 else 0
        if chosen is None and size > 1:
            raise ImageFileError(self.problem(options))
        if chosen is not None and chosen >= size:
            has = f"it has {count(size, word)}, 0 to {size - 1}" if size > 1 else f"it has one {word}, 0"
            raise ImageFileError(f"it has no {word} {chosen}: {has}")
        return chosen or 0

    def planes(self, options: StackOptions) -> list[list[dict[str, int]]]:
        """Return the planes to read: for each selected channel and each z, the indices along C, Z and T.

        Raises
        ------
        ImageFileError
            If they do not exist, or the selection leaves a stack.
        """
        is_unknown = any(axis not in "TCZYXS" and size > 1 for axis, size in zip(self.axes, self.shape, strict=True))
        if is_unknown or any(self.axes.count(axis) > 1 for axis in "TCZYXS"):
            raise ImageFileError(self.problem(options))
        if self.size("C") > 1 and self.size("S") > 1:
            raise ImageFileError(
                f"it has {self.description()}, each with {self.size('S')} colours: one image is expected"
            )
        time, z = self.place("T", options) or 0, self.place("Z", options)
        heights = range(self.size("Z")) if z is None else [z]
        channels = self.channels(options) if self.size("S") == 1 else [0]
        return [[{"C": channel, "Z": at, "T": time} for at in heights] for channel in channels]


def place_of_scene(names: Sequence[str], chosen: str | int | None) -> int:
    """Return the index of the selected scene; an empty string stands for a scene without a name.

    Raises
    ------
    ImageFileError
        If the scene does not exist or its name is not unique, or there are several and none is selected.
    """
    if chosen is None and len(names) == 1:
        return 0
    labels = [f"{place} {printable(name)}" if name else str(place) for place, name in enumerate(names)]
    every = f"{', '.join(labels[:_NAMED])}{f' and {len(names) - _NAMED:,} more' if len(names) > _NAMED else ''}"
    if chosen is None:
        raise ImageFileError(f"it contains {count(len(names), 'scene')} ({every}): select one with --scene")
    named = [place for place, name in enumerate(names) if name == chosen and name]
    if len(named) > 1:
        raise ImageFileError(f"several of its scenes are called {chosen!r}: give the number ({every})")
    place = chosen if isinstance(chosen, int) else int(chosen) if chosen.isdecimal() else -1
    place = named[0] if named else place
    if not 0 <= place < len(names):
        raise ImageFileError(f"it has no scene {chosen!r}: it has {every if len(names) > 1 else 'one, 0'}")
    return place


def place_of_focus(planes: NDArray[Any]) -> int:
    """Return the index of the sharpest plane, with the largest variance of its Laplacian; the first in a tie.

    Parameters
    ----------
    planes
        (Z, H, W), or (Z, H, W, S) for colours, whose variances are summed.

    Examples
    --------
    >>> import numpy as np
    >>> planes = np.zeros((3, 5, 5), np.uint8)
    >>> planes[1:, 2, 2] = 9
    >>> place_of_focus(planes)
    1
    """
    import cv2  # slow to load and rarely needed

    variances = [
        sum(
            float(cv2.Laplacian(sample, cv2.CV_64F).var())
            for sample in np.atleast_3d(plane.astype(np.float64)).transpose(2, 0, 1)
        )
        for plane in planes
    ]
    return int(np.argmax(np.nan_to_num(variances, nan=-1.0)))


def read_planes(
    stack: Stack, options: StackOptions, read: Callable[[Sequence[dict[str, int]]], NDArray[Any]]
) -> NDArray[Any]:
    """Read the selected planes of a stack, and project them along z.

    Parameters
    ----------
    stack
        Axes of the stack.
    options
        The selection. With several channels, all are read at the z where the first one is sharpest.
    read
        Returns the planes at given indices, (n, H, W) or (n, H, W, S).

    Returns
    -------
    ndarray
        (H, W), or (C, H, W) for several channels, or (H, W, S).

    Raises
    ------
    ImageFileError
        As for `Stack.planes`.
    """
    channels: list[NDArray[Any]] = []
    project: Projection = itemgetter(0)
    for places in stack.planes(options):
        planes = read(places)
        if planes.dtype == bool:
            planes = planes.astype(np.uint8) * np.uint8(255)
        if len(planes) > 1 and not channels:  # the first channel determines the focus for all
            project = {"max": _max, "mean": _mean}.get(str(options.z)) or itemgetter(place_of_focus(planes))
        channels.append(project(planes))
    return channels[0] if len(channels) == 1 else np.stack(channels)


def _max(planes: NDArray[Any]) -> NDArray[Any]:
    largest: NDArray[Any] = planes.max(axis=0)
    return largest


def _mean(planes: NDArray[Any]) -> NDArray[Any]:
    return _in_dtype(planes.mean(axis=0, dtype=np.float64), planes.dtype)


def chosen_of_picture(image: NDArray[Any], options: StackOptions, *, is_rgb: bool) -> NDArray[Any]:
    """Apply the selection to an image that is not a stack, (H, W) or (C, H, W).

    Raises
    ------
    ImageFileError
        If the selection does not exist.
    """
    place_of_scene([""], options.scene)
    is_coloured = is_rgb and image.ndim == 3 and len(image) == 3
    stack = Stack("CYX"[-image.ndim :], image.shape, _RGB if is_coloured else ())
    stack.place("T", options)
    stack.place("Z", options)
    if options.channel:
        places = stack.channels(options)
        picked = image if image.ndim == 2 else image[places]
        return picked[0] if picked.ndim == 3 and len(picked) == 1 else picked
    return luminance(image) if is_coloured and options.grey else image


def luminance(image: NDArray[Any]) -> NDArray[Any]:
    """Return the luminance of an RGB image, (3, H, W): (H, W) in the same dtype, rounded for integers.

    Examples
    --------
    >>> import numpy as np
    >>> luminance(np.array([[[200]], [[100]], [[50]]], np.uint8))
    array([[118]], dtype=uint8)
    """
    grey = sum(weight * channel.astype(np.float64) for weight, channel in zip(_LUMINANCE, image, strict=True))
    return _in_dtype(np.asarray(grey), image.dtype)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _in_dtype(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
