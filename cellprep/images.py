"""Image files: found by the image's id, read to the layout of a store."""

import hashlib
import io
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cellprep.errors import ImageFileError
from cellprep.memory import check_memory
from cellprep.places import is_remote, names_in

__all__ = ["IMAGE_FORMATS", "ImageFile", "ImageFolder", "Pixels", "check_dtype", "hash_of_pixels", "opened"]

_KNOWN_COLOURS = {
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.YCBCR,
}
_ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}


class Pixels(Protocol):
    """An image, wherever it is kept; ``str`` of it names the place."""

    def sha256(self) -> str:
        """Return a hash of its content, in hex."""

    def decode(self) -> NDArray[Any]:
        """Return (H, W), or (C, H, W) for several channels."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file.

    Attributes
    ----------
    path
        Where it is.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """Read it whole.

        Raises
        ------
        ImageFileError
            If it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error

    def sha256(self) -> str:
        """Return the hash of its bytes, in hex."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error

    def decode(self) -> NDArray[Any]:
        """Decode the image.

        Returns
        -------
        ndarray
            (H, W), or (C, H, W) for several channels, in the file's own dtype. An alpha channel is left out,
            and grey stored as RGB becomes one channel.

        Raises
        ------
        ImageFileError
            If the file cannot be read, is damaged, or holds a stack.
        """
        decode = IMAGE_FORMATS.get(self.path.suffix.lower())
        if decode is None:
            raise ImageFileError(f"{self.path} is no image: its name must end in {', '.join(IMAGE_FORMATS)}")
        with self._opened() as stream:
            try:
                pixels = decode(stream)
            except ImageFileError as error:
                raise ImageFileError(f"{self.path}: {error}") from None
            except Exception as error:
                raise ImageFileError(f"{self.path} is damaged, or no image: {_one_line(error)}") from error
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))

    def _opened(self) -> IO[bytes]:
        """Open it where it is: a huge one is not to be in memory twice; through a network all comes at once."""
        try:
            stream = io.BytesIO(self.read()) if is_remote(self.path) else self.path.open("rb")
            is_empty = not stream.read(1)
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error
        if is_empty:
            stream.close()
            raise ImageFileError(f"{self.path} is empty")
        stream.seek(0)
        return stream


def hash_of_pixels(pixels: NDArray[Any]) -> str:
    """Return the SHA-256, in hex, of an image's values, shape and type."""
    return hashlib.sha256(f"{pixels.dtype.str} {pixels.shape} ".encode() + pixels.tobytes()).hexdigest()


class ImageFolder:
    """A folder with one image file per id, ``<id>.png`` and the like, or ``<id>/images/<id>.png``.

    Ids may also be whole file names.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    ImageFileError
        If it is no folder that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, list[Path]] = defaultdict(list)
        try:
            entries = sorted(path / name for name in names_in(path))
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not entries:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in entries:
            if entry.suffix.lower() in IMAGE_FORMATS:
                self._files[entry.stem].append(entry)

    def find(self, image_id: str, file_name: str = "") -> ImageFile:
        """Find the file of an image.

        Parameters
        ----------
        image_id
            The image.
        file_name
            Where the file may be below the folder, if known.

        Raises
        ------
        ImageFileError
            If there is none, or more than one.
        """
        told = Path(file_name)
        with suppress(OSError):  # a name may be too long to be one
            if file_name and not told.is_absolute() and ".." not in told.parts and (self.path / told).is_file():
                return ImageFile(self.path / told)
        files = self._files.get(image_id) or [
            file for file in self._files.get(Path(image_id).stem, []) if file.name == image_id
        ]
        if not files:
            own = self.path / image_id / "images"  # as the 2018 Data Science Bowl has them
            files = [file for end in IMAGE_FORMATS if (file := own / f"{image_id}{end}").is_file()]
        if not files:
            raise ImageFileError(f"there is no image file {image_id}.* in {self.path} ({', '.join(IMAGE_FORMATS)})")
        if len(files) > 1:
            raise ImageFileError(f"several image files have this id: {', '.join(map(str, files))}; keep one")
        return ImageFile(files[0])

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of the files that belong to none of the images known."""
        names = set(known)
        return [
            file.name
            for stem, files in self._files.items()
            for file in files
            if stem not in names and file.name not in names
        ]


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


#: The decoders by the file name's end.
IMAGE_FORMATS: dict[str, Callable[[IO[bytes]], NDArray[Any]]] = {
    ".png": _decode_png,
    ".tif": _decode_tiff,
    ".tiff": _decode_tiff,
    ".jpg": _decode_jpeg,
    ".jpeg": _decode_jpeg,
}
