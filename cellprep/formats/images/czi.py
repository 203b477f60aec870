"""Zeiss CZI, read with the manufacturer's library pylibCZIrw; the tiles of each scene are stitched."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.czi_segments import check_segments
from cellprep.formats.images.pixel_size import Sides, sides_in_micrometres
from cellprep.formats.images.scenes import Scene, load_library, problems_of
from cellprep.formats.images.stacks import Stack

# For each pixel type: type of a value, and number of values. Colours are stored as blue, green, red.
_KINDS = {"Gray8": ("u1", 1), "Gray16": ("u2", 1), "Gray32Float": ("f4", 1), "Bgr24": ("u1", 3), "Bgr48": ("u2", 3)}
_MOST = 100_000  # planes along an axis: a few bytes may claim any number, and the library searches for each


@contextmanager
def open_czi(stream: IO[bytes]) -> Iterator[list[Scene]]:
    """Yield the scenes of a file, with names if all have one."""
    library = load_library("pylibCZIrw.czi", "Zeiss CZI")
    check_segments(stream)
    with _in_a_file(stream) as path, problems_of("pylibCZIrw"), library.open_czi(str(path)) as document:
        yield list(_scenes(document))


@contextmanager
def _in_a_file(stream: IO[bytes]) -> Iterator[Path]:
    """Provide the path of a file, which the library needs; a file in memory is copied."""
    if isinstance(name := getattr(stream, "name", None), str):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.czi")
        path.write_bytes(stream.read())
        yield path


def _scenes(document: Any) -> Iterator[Scene]:
    axes = document.total_bounding_box_no_pyramid
    others = {axis: size for axis, (_, size) in axes.items() if axis not in "XYSM" and size > 1}
    if max(others.values(), default=0) > _MOST:
        raise ImageFileError(f"it is damaged: it claims {max(others.values()):,} planes in a row")
    kinds = set(document.pixel_types.values())
    if len(kinds) != 1 or not kinds <= _KINDS.keys():
        raise ImageFileError(
            f"its pixels have the types {', '.join(sorted(map(str, kinds)))}: only one of {', '.join(_KINDS)} is "
            "supported"
        )
    dtype, samples = _KINDS[kinds.pop()]
    names, channels, sides = _told(document.raw_metadata)
    channels = channels if len(channels) == others.get("C", 1) and all(channels) else ()
    boxes = document.scenes_bounding_rectangle_no_pyramid or {None: document.total_bounding_rectangle_no_pyramid}
    for number, box in boxes.items():
        _, _, width, height = box
        form = {**others, "Y": height, "X": width, **({"S": samples} if samples > 1 else {})}
        stack = Stack("".join(form), tuple(form.values()), channels)
        yield Scene(names.get(number, ""), stack, np.dtype(dtype), partial(_read, document, number, box, stack), sides)


def _told(xml: str) -> tuple[dict[int | None, str], tuple[str, ...], Sides | None]:
    """Return metadata: names of scenes by number, names of channels, and a pixel's sides."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return {}, (), None
    image = root.find("./Metadata/Information/Image/Dimensions")
    scenes = [] if image is None else image.findall("./S/Scenes/Scene")
    names: dict[int | None, str] = {
        int(scene.get("Index", "")): scene.get("Name", "") for scene in scenes if scene.get("Index", "").isdecimal()
    }
    channels = [] if image is None else image.findall("./Channels/Channel")
    lengths = []
    for axis in "YX":
        told = root.findtext(f"./Metadata/Scaling/Items/Distance[@Id='{axis}']/Value")
        lengths.append(math.nan)
        with suppress(TypeError, ValueError):
            lengths[-1] = 1e6 * float(told or "")  # from metres
    return names, tuple(channel.get("Name", "") for channel in channels), sides_in_micrometres(*lengths)


def _read(document: Any, scene: int | None, box: Any, stack: Stack, at: Mapping[str, int]) -> NDArray[Any]:
    """Return a plane, black where there are no tiles. The pyramid of a scene may extend beyond its `box`."""
    plane = {axis: at.get(axis, 0) for axis in "CZT"}
    where = {axis: number for axis, number in plane.items() if stack.size(axis) > 1}
    where |= {} if scene is None else {"S": scene}
    if where:
        found: list[int] = []

        def stop_at(number: int, _: Any) -> bool:
            found.append(number)
            return False

        document.enumerate_subblocks_subset(stop_at, plane=where)
        if not found:
            place = ", ".join(f"{axis} {number}" for axis, number in where.items())
            raise ImageFileError(f"it has no pixels at {place}")
    values: NDArray[Any] = document.read(roi=box, plane=plane, scene=scene)
    return values[..., ::-1] if stack.size("S") > 1 else values[..., 0]
