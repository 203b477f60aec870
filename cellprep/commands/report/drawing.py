"""Small pictures of images and of single annotations, compressed."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cellprep.core.shapes import Cutout
from cellprep.core.thumbnails import small_outlined
from cellprep.errors import ImageFileError, OutputError
from cellprep.formats.images.file import ImageFile
from cellprep.text.wording import printable

_WIDEST = 1600  # pixels of a picture that lies in a file, the longer side
_THUMBNAIL = 224  # pixels, the longer side
_CROP = 144  # pixels, likewise
_LEAST = 24  # pixels of the image that a crop shows at least
_OWN, _PARTNER, _OTHERS = (255, 176, 0), (90, 190, 255), (150, 150, 150)  # outlines, RGB


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in WebP.

    Attributes
    ----------
    content
        The file.
    width, height
        In pixels.
    """

    content: bytes
    width: int
    height: int


def compress(pixels: NDArray[np.uint8], quality: int = 60) -> Picture:
    """Return (H, W, 3) uint8 pixels, RGB, as WebP."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=4)
    return Picture(buffer.getvalue(), pixels.shape[1], pixels.shape[0])


def draw_file(path: Path) -> Picture:
    """Draw a picture that lies in a file, made smaller where it is very large.

    Raises
    ------
    OutputError
        If it cannot be read as an image file (which no program is started for), or does not have 8 bits.
    """
    import cv2

    try:
        pixels = ImageFile(path).decode()
    except ImageFileError as error:
        raise OutputError(f"the picture {error}" if str(path) in str(error) else f"{path}: {error}") from error
    if pixels.dtype != np.uint8 or (pixels.ndim == 3 and len(pixels) != 3):
        raise OutputError(f"the picture {path} is not grey or RGB of 8 bits: a page shows no others")
    colours = np.moveaxis(pixels, 0, 2) if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    scale = min(1.0, _WIDEST / max(colours.shape[:2]))
    size = [max(1, round(side * scale)) for side in colours.shape[1::-1]]
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA) if scale < 1 else colours
    return compress(np.ascontiguousarray(small, np.uint8), 75)


def draw_files(paths: Iterable[Path]) -> list[tuple[str, Picture]]:
    """Draw pictures that lie in files, each with its name, as `draw_file` does."""
    return [(printable(path.stem), draw_file(path)) for path in paths]


def draw_thumbnail(grey: NDArray[np.uint8], labels: NDArray[np.integer]) -> Picture:
    """Draw an image in small, with its cells outlined."""
    return compress(small_outlined(grey, labels, _THUMBNAIL))


def draw_annotation(grey: NDArray[np.uint8], row: int, partner: int | None, cutouts: Mapping[int, Cutout]) -> Picture:
    """Draw one annotation large, its partner in another colour, and the outlines of all others around it.

    Parameters
    ----------
    grey
        (H, W), the image.
    row, partner
        The annotation, and the one it is compared to.
    cutouts
        Of all annotations, by row.
    """
    import cv2

    top, left, bottom, right = _window(cutouts[row], grey.shape)
    scale = _CROP / max(bottom - top, right - left)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    how = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    picture = cv2.cvtColor(cv2.resize(grey[top:bottom, left:right], size, interpolation=how), cv2.COLOR_GRAY2RGB)
    last = [number for number in (partner, row) if number is not None]
    for number in [*(other for other in cutouts if other not in last), *last]:
        part = _part(cutouts[number], (top, left, bottom, right))
        if part is not None:
            large = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            outlines, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            colour = _OWN if number == row else _PARTNER if number == partner else _OTHERS
            cv2.drawContours(picture, outlines, -1, colour, 1)
    return compress(np.asarray(picture, np.uint8), 70)


def _window(cutout: Cutout, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the part of the image to show: the annotation and a third of its size around it."""
    centre = [start + size / 2 for start, size in zip(cutout.origin, cutout.mask.shape, strict=True)]
    half = max(0.5 * _LEAST, 0.67 * max(cutout.mask.shape))
    starts = [max(0, int(middle - half)) for middle in centre]
    ends = [min(size, int(middle + half) + 1) for middle, size in zip(centre, shape, strict=True)]
    return starts[0], starts[1], ends[0], ends[1]


def _part(cutout: Cutout, window: tuple[int, int, int, int]) -> NDArray[np.uint8] | None:
    """Return what of an annotation is in a window; None if nothing is."""
    top, left, bottom, right = window
    y, x = cutout.origin
    height, width = cutout.mask.shape
    first_row, last_row = max(top, y), min(bottom, y + height)
    first_column, last_column = max(left, x), min(right, x + width)
    if first_row >= last_row or first_column >= last_column:
        return None
    part = np.zeros((bottom - top, right - left), np.uint8)
    part[first_row - top : last_row - top, first_column - left : last_column - left] = cutout.mask[
        first_row - y : last_row - y, first_column - x : last_column - x
    ]
    return part
