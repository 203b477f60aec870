"""The Orientation tag of TIFF and EXIF, which says how to rotate a stored image for display."""

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from numpy.typing import NDArray

from cellprep.system.options import Option

#: Effects of the tag.
Orientation = Literal["apply", "ignore"]
TurnedBy = Annotated[
    Orientation | None,
    Option(
        "Whether to rotate images as their Orientation tag (EXIF) says. By default the size of the annotations "
        "decides; if it cannot, images are rotated.",
        group="Images",
    ),
]

_TAG = 0x0112

# Transformations by tag value; the last two axes are rows and columns.
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda image: image[..., ::-1],
    3: lambda image: image[..., ::-1, ::-1],
    4: lambda image: image[..., ::-1, :],
    5: lambda image: image.swapaxes(-2, -1),
    6: lambda image: image.swapaxes(-2, -1)[..., ::-1],
    7: lambda image: image.swapaxes(-2, -1)[..., ::-1, ::-1],
    8: lambda image: image.swapaxes(-2, -1)[..., ::-1, :],
}


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return an image, (..., H, W), in its display orientation.

    Examples
    --------
    >>> import numpy as np
    >>> turned(np.array([[1, 2, 3], [4, 5, 6]]), 6)
    array([[4, 1],
           [5, 2],
           [6, 3]])
    """
    return _TURNS[orientation](image) if orientation in _TURNS else image


def as_orientation(value: Any) -> int:
    """Return a tag's value, or 1 (upright) if it is invalid."""
    return value if isinstance(value, int) and value in _TURNS else 1


def orientation_of_exif(block: bytes) -> int:
    """Return the Orientation of an EXIF block, 1 to 8; 1 if it is missing or damaged."""
    block = block.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    with suppress(struct.error):
        if order:
            (start,) = struct.unpack_from(f"{order}I", block, 4)
            (entries,) = struct.unpack_from(f"{order}H", block, start)
            for place in range(start + 2, start + 2 + 12 * entries, 12):
                tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, place)
                if (tag, kind, count) == (_TAG, 3, 1):
                    return as_orientation(value)
    return 1
