"""Microscope files: one image or several scenes, each a stack from which planes are selected."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError, MissingExtraError
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.raster import Raster, Tags, check_dtype
from cellprep.formats.images.stacks import Stack, place_of_scene, read_planes
from cellprep.system.memory import check_memory


@dataclass(frozen=True, slots=True)
class Scene:
    """An image of a file.

    Attributes
    ----------
    name
        Name; an empty string if it has none.
    stack
        Axes.
    dtype
        Type of the values.
    read
        Returns the plane at a position along C, Z and T: (H, W), or (H, W, S) for colours.
    sides
        Sides of a pixel, if the file has them.
    """

    name: str
    stack: Stack
    dtype: np.dtype[Any]
    read: Callable[[Mapping[str, int]], NDArray[Any]]
    sides: Sides | None = None


#: Opens a file, and yields its scenes.
Opener = Callable[[IO[bytes]], AbstractContextManager[Sequence[Scene]]]


def load_library(name: str, purpose: str) -> Any:
    """Import a library that reads a format.

    Raises
    ------
    ImageFileError
        If it is not installed; the message says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImageFileError(str(MissingExtraError(f"reading {purpose}", name.partition(".")[0], "images"))) from error


def decode_scene(opener: Opener, stream: IO[bytes], options: StackOptions | None = None) -> Raster:
    """Decode the selected part of a file.

    Raises
    ------
    ImageFileError
        If it has several scenes or planes, and the selection is incomplete.
    """
    options = StackOptions() if options is None else options
    with opener(stream) as scenes:
        scene = scenes[place_of_scene([one.name for one in scenes], options.scene)]
        stack = scene.stack.told(options)
        check_dtype(scene.dtype)
        values = read_planes(stack, options, _reader(scene, stack))
    has_samples = stack.size("S") > 1
    left = replace(options, scene=None, channel=options.channel if has_samples else (), z=None, time=None)
    if not has_samples:
        return Raster(values=values, to_choose=left)
    if values.shape[-1] not in (3, 4):
        raise ImageFileError(
            f"each of its pixels has {values.shape[-1]} samples: only grey and RGB images are supported"
        )
    values = np.moveaxis(values, -1, 0)
    return Raster(values=values[:3], is_rgb=True, alpha=values[3] if len(values) > 3 else None, to_choose=left)


def _reader(scene: Scene, stack: Stack) -> Callable[[Sequence[dict[str, int]]], NDArray[Any]]:
    form = (stack.size("Y"), stack.size("X"), stack.size("S"))

    def read(places: Sequence[dict[str, int]]) -> NDArray[Any]:
        needed = len(places) * int(np.prod(form, dtype=object)) * scene.dtype.itemsize
        check_memory(needed, f"{len(places):,} planes of {' x '.join(map(str, form))} values")
        planes = [np.reshape(scene.read(at), form) for at in places]
        found = np.stack(planes)
        return found if form[2] > 1 else found[..., 0]

    return read


def tags_of_scenes(opener: Opener, stream: IO[bytes]) -> Tags:
    """Read the names of a file's scenes, and their pixel sizes."""
    with opener(stream) as scenes:
        return Tags(scenes=tuple(one.name for one in scenes), sides=tuple(one.sides for one in scenes))


@contextmanager
def problems_of(library: str) -> Iterator[None]:
    """Convert errors of a library for a damaged file to one line, and silence its log."""
    log = logging.getLogger(library)
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageFileError, MemoryError):
        raise
    except Exception as error:  # libraries raise errors of all kinds
        told = " ".join(str(error).split())[:200]
        raise ImageFileError(f"it is damaged, or not supported by {library}: {told}") from error
    finally:
        log.disabled = before
