"""Formats of image files: the decoder for each file extension.

To add a format, write a function that decodes it to a `Raster` and one that reads its `Tags`, and add a line to
`IMAGE_FORMATS`. For microscope formats, whose files may contain several images, write a function that opens a file and
returns its scenes instead. Formats that need a library are in modules that are loaded with their first file.
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
        Name of the format, as `cellprep.formats.images.kinds.kind_of` returns it for a file's content.
    decode
        Decodes a file that is open at its start.
    tags
        Reads metadata of the image without the image.
    decode_planes
        Decodes the selected planes of a file with a stack or several scenes; None for formats without these.
    is_of_microscope
        Whether few other programs than the manufacturer's read it, and a file may contain several scenes.
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
    """Return a format whose module opens files with ``open_<module>``, which returns their scenes."""
    decode = partial(_call_on_scenes, "decode_scene", module)
    return ImageFormat(kind, decode, partial(_call_on_scenes, "tags_of_scenes", module), decode, is_of_microscope=True)


_pictures, _tiff = partial(partial, _call, "pictures"), partial(partial, _call, "tiff")
_TIFF = ImageFormat("TIFF", _tiff("decode_tiff"), _tiff("tags_of_tiff"), _tiff("decode_tiff"))
_JPEG = ImageFormat("JPEG", _pictures("decode_jpeg"), _pictures("tags_of_picture"))
_JPEG_2000 = ImageFormat("JPEG 2000", _pictures("decode_jpeg2000"))

#: The formats by file extension.
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

#: The extensions of label files: formats without loss.
LABEL_FORMATS = (".npy", ".npz", ".png", ".tif", ".tiff", ".bmp")


def is_image_name(name: str) -> bool:
    """Return whether a file name is that of an image; Cellpose's ``_seg.npy`` are not.

    Examples
    --------
    >>> [is_image_name(name) for name in ("a.TIF", "a.npy", "a_seg.npy", "a.txt")]
    [True, True, False, False]
    """
    lower = name.lower()
    return lower.endswith(tuple(IMAGE_FORMATS)) and not lower.endswith("_seg.npy")
