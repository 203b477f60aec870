"""The formats of image files: what decodes each to the layout of a store."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cellprep.errors import ImageFileError
from cellprep.memory import check_memory

__all__ = ["IMAGE_FORMATS", "check_dtype", "opened"]

_KNOWN_COLOURS = {
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.YCBCR,
}
_ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}


def _decode_png(stream: IO[bytes]) -> NDArray[Any]:
    content = stream.read()
    with opened(content, "PNG") as image:
        image.verify()  # OpenCV shows damaged files as if they were whole
    return _decode_with_opencv(content)


def _decode_jpeg(stream: IO[bytes]) -> NDArray[Any]:
    with opened(stream.read(), "JPEG") as image:
        if image.mode not in ("L", "RGB"):
            raise ImageFileError(f"its colours are {image.mode}: grey and RGB can be read")
        return _channels_first(np.asarray(image))


@contextmanager
def opened(content: bytes, kind: str) -> Iterator[Image.Image]:
    """Open a file of one kind with Pillow, which knows damaged files, but not all depths of colour."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=[kind]) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    raise ImageFileError(f"it is a stack of {frames} pictures: one is expected")
                yield image
        except UnidentifiedImageError:
            raise ImageFileError(f"it is damaged, or not a {kind}") from None
        except Image.DecompressionBombError:
            raise ImageFileError("it has more than 178,956,970 pixels: store so large an image as TIFF") from None


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep tifffile from telling of each damaged tag: whoever reads the file gets one line about it."""
    log = tifffile.logger()
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _decode_tiff(stream: IO[bytes]) -> NDArray[Any]:
    with _without_log(), tifffile.TiffFile(stream) as tiff:
        if len(tiff.series) != 1:
            raise ImageFileError(f"it holds {len(tiff.series)} images of different kinds: one is expected")
        series, page = tiff.series[0], tiff.pages.first
        axes = series.axes
        if axes not in ("YX", "YXS", "SYX", "CYX"):
            sizes = " x ".join(f"{axis} {size}" for axis, size in zip(axes, series.shape, strict=True))
            raise ImageFileError(f"it is a stack ({sizes}): images have y, x, and at most one axis of channels")
        colours = tifffile.PHOTOMETRIC(page.photometric)
        if colours not in _KNOWN_COLOURS:
            raise ImageFileError(f"its colours are {colours.name.lower()}: grey and RGB can be read")
        check_dtype(series.dtype)
        check_memory(series.nbytes, f"an image of {' x '.join(map(str, series.shape))} values")
        try:
            pixels = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            stream.seek(0)
            return _decode_rare_compression(stream.read(), page, len(tiff.pages))
        alpha = [extra in _ALPHA for extra in page.extrasamples]
    if axes == "YX":
        return pixels
    channels = np.moveaxis(pixels, 2, 0) if axes == "YXS" else pixels
    kept = [True] * (len(channels) - len(alpha)) + [not is_alpha for is_alpha in alpha]
    return _without_copies(channels[kept]) if colours == tifffile.PHOTOMETRIC.RGB else channels[kept]


def _decode_rare_compression(content: bytes, page: tifffile.TiffPage, pages: int) -> NDArray[Any]:
    """Decode what tifffile leaves to another package, such as LZW, where OpenCV surely gives the same."""
    if pages > 1 or page.samplesperpixel not in (1, 3):
        compression = tifffile.COMPRESSION(page.compression).name
        raise ImageFileError(f"its compression, {compression}, needs imagecodecs: pip install imagecodecs")
    return _decode_with_opencv(content)


def _decode_with_opencv(content: bytes) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageFileError("OpenCV cannot decode it")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = pixels[..., 2::-1]  # BGR, with or without alpha
    return _channels_first(pixels)


def _channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """Turn (H, W) or (H, W, samples) into (H, W) or (C, H, W)."""
    return pixels if pixels.ndim == 2 else _without_copies(np.moveaxis(pixels, 2, 0))


def _without_copies(channels: NDArray[Any]) -> NDArray[Any]:
    """Turn grey that is stored as three equal colours into one channel."""
    red, *others = channels
    return red if len(others) == 2 and all(np.array_equal(red, other) for other in others) else channels


def check_dtype(dtype: np.dtype[Any] | None) -> None:
    """Raise ImageFileError unless these are values that an image can have."""
    if dtype is None or dtype.kind not in "uif":
        raise ImageFileError(f"it holds {dtype} values: images hold integers or floats")


#: The decoders by the file name's end.
IMAGE_FORMATS: dict[str, Callable[[IO[bytes]], NDArray[Any]]] = {
    ".png": _decode_png,
    ".tif": _decode_tiff,
    ".tiff": _decode_tiff,
    ".jpg": _decode_jpeg,
    ".jpeg": _decode_jpeg,
}
