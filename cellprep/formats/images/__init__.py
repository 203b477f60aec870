"""The formats of image files: what reads each, by the end of the file's name.

A new format is a function that decodes it to a `Raster`, one that reads its `Tags`, and one line in `IMAGE_FORMATS`.
Those that need a library for it stand in modules that are loaded with their first file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import IO, Any

from cellprep.formats.images.arrays import decode_npy, decode_npz
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.raster import Raster, Tags, as_labels, as_mask, as_picture, check_dtype

__all__ = [
    "IMAGE_FORMATS",
    "LABEL_FORMATS",
    "ImageFormat",
    "Raster",
    "Tags",
    "as_labels",
    "as_mask",
    "as_picture",
    "check_dtype",
    "is_image_name",
]


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format of image files.

    Attributes
    ----------
    kind
        Its name, as `cellprep.formats.images.kinds.kind_of` tells it from the content of a file.
    decode
        Reads a file, which is open at its start.
    tags
        Reads what the file says of its image, without the image.
    decode_planes
        Reads the planes chosen of a file that may be a stack; None for formats that hold none.
    """

    kind: str
    decode: Callable[[IO[bytes]], Raster]
    tags: Callable[[IO[bytes]], Tags] = lambda _: Tags()
    decode_planes: Callable[[IO[bytes], StackOptions], Raster] | None = None


def _call(module: str, function: str, stream: IO[bytes], *options: Any) -> Any:
    return getattr(import_module(f"{__name__}.{module}"), function)(stream, *options)


_pictures, _tiff = partial(partial, _call, "pictures"), partial(partial, _call, "tiff")
_TIFF = ImageFormat("TIFF", _tiff("decode_tiff"), _tiff("tags_of_tiff"), _tiff("decode_tiff"))
_JPEG = ImageFormat("JPEG", _pictures("decode_jpeg"), _pictures("tags_of_picture"))

#: The formats by the end of the file's name.
IMAGE_FORMATS: dict[str, ImageFormat] = {
    ".png": ImageFormat("PNG", _pictures("decode_png"), _pictures("tags_of_png")),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": ImageFormat("WebP", _pictures("decode_webp"), _pictures("tags_of_picture")),
    ".bmp": ImageFormat("BMP", _pictures("decode_bmp")),
    ".npy": ImageFormat("NPY", decode_npy),
    ".npz": ImageFormat("NPZ", decode_npz),
}

#: The ends of the names of label files: the formats that keep every number.
LABEL_FORMATS = (".npy", ".npz", ".png", ".tif", ".tiff", ".bmp")


def is_image_name(name: str) -> bool:
    """Return whether a file's name is that of an image; Cellpose's ``_seg.npy`` are none.

    Examples
    --------
    >>> [is_image_name(name) for name in ("a.TIF", "a.npy", "a_seg.npy", "a.txt")]
    [True, True, False, False]
    """
    lower = name.lower()
    return lower.endswith(tuple(IMAGE_FORMATS)) and not lower.endswith("_seg.npy")
