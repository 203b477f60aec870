"""PNG, JPEG, JPEG 2000, WebP and BMP."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cellprep.errors import ImageFileError
from cellprep.formats.images.codestreams import has_end, size_of_jpeg2000
from cellprep.formats.images.orientation import orientation_of_exif
from cellprep.formats.images.raster import Raster, Tags
from cellprep.system.memory import check_memory

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_MOST_BYTES = 8  # largest size of a pixel: four channels of 16 bits


def decode_png(stream: IO[bytes]) -> Raster:
    """Decode a PNG of any depth."""
    content = stream.read()
    with _opened(io.BytesIO(content), "PNG") as image:
        has_palette, is_grey = image.mode == "P", image.mode == "LA"
        image.verify()  # OpenCV does not report damaged files
    orientation = tags_of_png(io.BytesIO(content)).orientation
    if has_palette:
        with _opened(io.BytesIO(content), "PNG") as image:
            return _raster(image, orientation)
    is_whole = _PNG_END in content  # libpng reports other damage
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if is_whole else None
    if pixels is None:
        raise ImageFileError("it is damaged: it cannot be decoded as PNG")
    if pixels.ndim == 2:
        return Raster(values=pixels, orientation=orientation)
    values, alpha = pixels[..., 2::-1], pixels[..., 3] if pixels.shape[2] == 4 else None  # BGR, with or without alpha
    if is_grey:
        return Raster(values=values[..., 0], alpha=alpha, orientation=orientation)
    return Raster(values=np.moveaxis(values, 2, 0), is_rgb=True, alpha=alpha, orientation=orientation)


def decode_jpeg(stream: IO[bytes]) -> Raster:
    """Decode a JPEG, grey or RGB."""
    content = stream.read()
    if not has_end(content):
        raise ImageFileError("it is damaged: it is truncated")
    return _decode(io.BytesIO(content), "JPEG")


def decode_jpeg2000(stream: IO[bytes]) -> Raster:
    """Decode a JPEG 2000, grey or RGB, of up to 16 bits."""
    import imagecodecs

    content = stream.read()
    size = size_of_jpeg2000(content)
    if size is None or not has_end(content, b"\xff\x93"):
        raise ImageFileError("it is damaged: it is truncated")
    check_memory(size[0] * size[1] * _MOST_BYTES, f"an image of {size[0]} x {size[1]} pixels")
    pixels: NDArray[Any] = imagecodecs.jpeg2k_decode(content)
    if pixels.ndim == 2:
        return Raster(values=pixels)
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 3, 4):
        raise ImageFileError(f"it has the shape {pixels.shape}: only grey and RGB images are supported")
    channels = np.moveaxis(pixels, 2, 0)
    if len(channels) == 2:
        return Raster(values=channels[0], alpha=channels[1])
    return Raster(values=channels[:3], is_rgb=True, alpha=channels[3] if len(channels) > 3 else None)


def decode_webp(stream: IO[bytes]) -> Raster:
    """Decode a WebP."""
    return _decode(stream, "WEBP")


def decode_bmp(stream: IO[bytes]) -> Raster:
    """Decode a BMP."""
    return _decode(stream, "BMP")


def tags_of_picture(stream: IO[bytes]) -> Tags:
    """Read the Orientation tag of a JPEG or WebP."""
    with _opened(stream, "JPEG", "WEBP") as image:
        return _tags(orientation_of_exif(image.info.get("exif", b"")))


def tags_of_png(stream: IO[bytes]) -> Tags:
    """Read the tags of a PNG; the EXIF block with the Orientation may be anywhere in the file."""
    stream.seek(25)
    has_grey_alpha = stream.read(1) == b"\4"
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return replace(_tags(orientation_of_exif(stream.read(min(length, 2**16)))), has_grey_alpha=has_grey_alpha)
        stream.seek(length + 4, 1)
    return Tags(has_grey_alpha=has_grey_alpha)


def _tags(orientation: int) -> Tags:
    return Tags(orientation, 1 if orientation == 1 else 2)


@contextmanager
def _opened(stream: IO[bytes], *kinds: str) -> Iterator[Image.Image]:
    """Open a file of the given formats with Pillow, but of no others, as some start external programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=kinds) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    raise ImageFileError(f"it is a stack of {frames} images: one is expected")
                width, height = image.size
                check_memory(width * height * _MOST_BYTES, f"an image of {height} x {width} pixels")
                yield image
        except UnidentifiedImageError:
            raise ImageFileError(f"it is damaged, or not a {kinds[0]}") from None
        except Image.DecompressionBombError:
            raise ImageFileError("it has more than 178,956,970 pixels: store images of this size as TIFF") from None


def _decode(stream: IO[bytes], kind: str) -> Raster:
    with _opened(stream, kind) as image:
        return _raster(image, orientation_of_exif(image.info.get("exif", b"")))


def _raster(image: Image.Image, orientation: int) -> Raster:
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        raise ImageFileError(f"its colours are {image.mode}: only grey and RGB images are supported")
    pixels: NDArray[Any] = np.asarray(image)
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Raster(values=pixels, palette=palette, orientation=orientation)
    if pixels.ndim == 2:
        return Raster(values=pixels, orientation=orientation)
    alpha = pixels[..., -1] if image.mode in ("LA", "RGBA") else None
    values = pixels[..., 0] if image.mode == "LA" else np.moveaxis(pixels[..., :3], 2, 0)
    return Raster(values=values, is_rgb=values.ndim == 3, alpha=alpha, orientation=orientation)
