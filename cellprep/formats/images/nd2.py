"""Nikon ND2, read with the library nd2; each position is a scene."""

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

_POSITIONS = "P"  # name of the axis in nd2


@contextmanager
def open_nd2(stream: IO[bytes]) -> Iterator[list[Scene]]:
    """Yield the positions of a file, with names if all have one."""
    nd2 = load_library("nd2", "Nikon ND2")
    size = stream.seek(0, 2)
    with problems_of("nd2"), nd2.ND2File(stream) as file:
        yield list(_scenes(file, size))


def _scenes(file: Any, size: int) -> Iterator[Scene]:
    sizes, points = dict(file.sizes), _names(file)
    axes = {axis: size for axis, size in sizes.items() if axis != _POSITIONS}
    letters = "".join(axis if len(axis) == 1 else "_" for axis in axes)
    channels = tuple(channel.channel.name or "" for channel in file.metadata.channels or ())
    named = channels if len(channels) == sizes.get("C", 1) and all(channels) else ()
    stack = Stack(letters, tuple(axes.values()), named)
    for position in range(sizes.get(_POSITIONS, 1)):
        read = partial(_read, file, size, position)
        yield Scene(points[position] if position < len(points) else "", stack, file.dtype, read, _sides(file))


def _names(file: Any) -> list[str]:
    """Return the names of the positions, if they are unique."""
    loops = [loop for loop in file.experiment if loop.type == "XYPosLoop"]
    return [point.name or "" for point in loops[0].parameters.points] if loops else []


def _sides(file: Any) -> Sides | None:
    volumes = [channel.volume for channel in file.metadata.channels or ()][:1]
    if not volumes or not all(volumes[0].axesCalibrated[:2]):
        return None
    x, y, *_ = volumes[0].axesCalibration
    return sides_in_micrometres(y, x)


def _read(file: Any, size: int, position: int, at: Mapping[str, int]) -> NDArray[Any]:
    sizes, frames = file.sizes, file.loop_indices
    wanted = {**at, _POSITIONS: position}
    found = [
        place
        for place, indices in enumerate(frames)
        if all(wanted.get(axis, 0) == number for axis, number in indices.items())
    ]
    place = found[0] if found else 0
    _check_frame(file, place, size)
    form = (sizes.get("C", 1), sizes["Y"], sizes["X"], sizes.get("S", 1))
    frame: NDArray[Any] = np.asarray(file.read_frame(place)).reshape(form)
    plane: NDArray[Any] = frame[at["C"]].copy()  # a copy, as the file's memory is freed with it
    return plane


def _check_frame(file: Any, place: int, size: int) -> None:
    """Refuse a missing frame, for which nd2 returns zeros."""
    chunks = getattr(file._rdr, "chunkmap", None)
    if isinstance(chunks, dict):
        start, length = chunks.get(f"ImageDataSeq|{place}!".encode(), (size, 1))
        if start + max(length, 1) > size:
            raise ImageFileError(f"it is damaged: its frame {place} is missing")
