"""The formats of image files: what reads each, by the end of the file's name.

A new format is a function that decodes it to a `Raster`, one that reads its `Tags`, and one line in `IMAGE_FORMATS`.
One of microscopes, whose files may hold several images, is a function that opens it and gives its scenes and that line.
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
        Reads what is chosen of a file that may be a stack, or hold several scenes; None for formats that hold none.
    is_of_microscope
        Whether few programs beside those of its maker read it, and each file may hold several scenes.
    """

    kind: str
    decode: Callable[[IO[bytes]], Raster]
    tags: Callable[[IO[bytes]], Tags] = lambda _: Tags()
    decode_planes: Callable[[IO[bytes], StackOptions], Raster] | None = None
    is_of_microscope: bool = False


def _call(module: str, function: str, stream: IO[bytes], *options: Any) -> Any:
    return getattr(import_module(f"{__name__}.{module}"), function)(stream, *options)


def _call_on_scenes(function: str, module: str, stream: IO[bytes], *options: Any) -> Any:
    opener = getattr(import_module(f"{__name__}.{module}"), f"open_{module}")
    return getattr(import_module(f"{__name__}.scenes"), function)(opener, stream, *options)


def _of_microscope(kind: str, module: str) -> ImageFormat:
    """Return a format whose module opens its files, ``open_<module>``, and gives their scenes."""
    decode = partial(_call_on_scenes, "decode_scene", module)
    return ImageFormat(kind, decode, partial(_call_on_scenes, "tags_of_scenes", module), decode, is_of_microscope=True)


_pictures, _tiff = partial(partial, _call, "pictures"), partial(partial, _call, "tiff")
_TIFF = ImageFormat("TIFF", _tiff("decode_tiff"), _tiff("tags_of_tiff"), _tiff("decode_tiff"))
_JPEG = ImageFormat("JPEG", _pictures("decode_jpeg"), _pictures("tags_of_picture"))
_JPEG_2000 = ImageFormat("JPEG 2000", _pictures("decode_jpeg2000"))

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
    ".jp2": _JPEG_2000,
    ".j2k": _JPEG_2000,
    ".nd2": _of_microscope("Nikon ND2", "nd2"),
    ".lif": _of_microscope("Leica LIF", "lif"),
    ".czi": _of_microscope("Zeiss CZI", "czi"),
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
