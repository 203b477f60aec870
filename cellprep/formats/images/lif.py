"""Leica LIF, read with the library liffile; each image is a scene."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.pixel_size import Sides, sides_in_micrometres
from cellprep.formats.images.scenes import Scene, load_library, problems_of
from cellprep.formats.images.stacks import Stack
from cellprep.system.memory import check_memory


@contextmanager
def open_lif(stream: IO[bytes]) -> Iterator[list[Scene]]:
    """Yield the images of a file, named by their paths within it."""
    library = load_library("liffile", "Leica LIF")
    with problems_of("liffile"), library.LifFile(stream) as file:
        scenes = [_scene(image) for image in file.images if {"Y", "X"} <= set(image.sizes)]
        if not scenes:
            raise ImageFileError("it contains no images")
        yield scenes


def _scene(image: Any) -> Scene:
    sizes = dict(image.sizes)
    stack = Stack("".join(axis if len(axis) == 1 and axis not in "IQ" else "_" for axis in sizes), (*sizes.values(),))
    return Scene(image.path or image.name, stack, image.dtype, partial(_read, image, stack), _sides(image))


def _sides(image: Any) -> Sides | None:
    """Return the sides of a pixel; coordinates in the format are in metres."""
    steps = []
    for axis in "YX":
        along = image.coords.get(axis, ())
        steps.append(1e6 * abs(float(along[-1]) - float(along[0])) / (len(along) - 1) if len(along) > 1 else 0.0)
    return sides_in_micrometres(*steps)


def _read(image: Any, stack: Stack, at: Mapping[str, int]) -> NDArray[Any]:
    check_memory(image.nbytes, f"an image of {' x '.join(map(str, stack.shape))} values")
    values = image.asarray()
    index = tuple(slice(None) if axis in "YXS" else at.get(axis, 0) for axis in stack.axes)
    kept = [axis for axis in stack.axes if axis in "YXS"]
    plane: NDArray[Any] = np.moveaxis(
        values[index], [kept.index(axis) for axis in kept], ["YXS".index(a) for a in kept]
    )
    return plane
