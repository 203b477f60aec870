"""Small pictures of images and of single annotations, compressed."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.core.outlines import simplify_polygons, trace_outlines
from cellprep.core.shapes import Cutout
from cellprep.errors import ImageFileError, OutputError
from cellprep.formats.images.file import ImageFile
from cellprep.text.wording import printable

_WIDEST = 1600  # longer side of a picture from a file, in pixels
_CROP = 288  # maximum longer side of a picture of an annotation, in pixels
_LEAST = 48  # minimum number of image pixels along its sides
_SEEN = 150  # outlines around an annotation may deviate by 1/150 of a picture's side
_MOST_OUTLINES = 16_000  # characters in all outlines of an image


class Outlines(NamedTuple):
    """Outlines on a picture, as an SVG path.

    Their kind is ``cells``, ``own``, ``partner`` or ``other``, or the outcome of predicted and true cells.
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in WebP format.

    Attributes
    ----------
    content
        The bytes of the file.
    width, height
        Size in pixels of the image shown; the file may have fewer pixels.
    outlines
        The outlines on it, in pixels of the image shown, lowest layer first.
    """

    content: bytes
    width: int
    height: int
    outlines: tuple[Outlines, ...] = ()


def compress(pixels: NDArray[np.uint8], quality: int = 60) -> Picture:
    """Return (H, W, 3) uint8 pixels, RGB, as WebP."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=4)
    return Picture(buffer.getvalue(), pixels.shape[1], pixels.shape[0])


def draw_file(path: Path) -> Picture:
    """Draw a picture from a file, reduced if it is very large.

    Raises
    ------
    OutputError
        If it cannot be read as an image file (without starting any program), or does not have 8 bits.
    """
    import cv2

    try:
        pixels = ImageFile(path).decode()
    except ImageFileError as error:
        raise OutputError(f"the picture {error}" if str(path) in str(error) else f"{path}: {error}") from error
    if pixels.dtype != np.uint8 or (pixels.ndim == 3 and len(pixels) != 3):
        raise OutputError(f"the picture {path} is not greyscale or RGB with 8 bits, as a report needs")
    colours = np.moveaxis(pixels, 0, 2) if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    scale = min(1.0, _WIDEST / max(colours.shape[:2]))
    size = [max(1, round(side * scale)) for side in colours.shape[1::-1]]
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA) if scale < 1 else colours
    return compress(np.ascontiguousarray(small, np.uint8), 75)


def draw_files(paths: Iterable[Path]) -> list[tuple[str, Picture]]:
    """Draw pictures from files as `draw_file` does, each with its name."""
    return [(printable(path.stem), draw_file(path)) for path in paths]


def draw_thumbnail(grey: NDArray[np.uint8], labels: NDArray[np.integer], side: int) -> Picture:
    """Draw an image, at most `side` pixels on its longer side, with the outlines of its cells."""
    traced, outlines = labels, ""
    # Simplify outlines until they are at most as large as the image.
    for finer, tolerance in ((2, 0.4), (2, 0.8), (1, 0.8), (0.5, 0.8)):
        step = max(1, round(max(labels.shape) / (finer * side)))
        traced = labels[::step, ::step]
        cells = trace_outlines(traced).values()
        outlines = "".join(svg_path(simplify_polygons(polygons, tolerance)) for polygons in cells)
        if len(outlines) <= _MOST_OUTLINES:
            break
    return draw_grey(grey, side, traced.shape, [Outlines("cells", outlines)] if outlines else [])


def draw_grey(grey: NDArray[np.uint8], side: int, shape: tuple[int, ...], outlines: Iterable[Outlines] = ()) -> Picture:
    """Draw an image, at most `side` pixels on its longer side, with outlines in pixels of `shape`, (H, W)."""
    import cv2

    scale = min(1.0, side / max(grey.shape))
    size = [max(1, round(length * scale)) for length in grey.shape[::-1]]
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    drawn = compress(np.repeat(small[..., np.newaxis], 3, axis=2), 70)
    return replace(drawn, width=shape[1], height=shape[0], outlines=tuple(outlines))


def draw_annotation(grey: NDArray[np.uint8], row: int, partner: int | None, cutouts: Mapping[int, Cutout]) -> Picture:
    """Draw one annotation enlarged, with layers for its outline, its partner's, and those of all others around it.

    Parameters
    ----------
    grey
        (H, W): the image.
    row, partner
        The annotation, and the one it is compared to.
    cutouts
        The cutouts of all annotations, by row.
    """
    top, left, bottom, right = _window(cutouts[row], grey.shape)
    height, width = bottom - top, right - left
    scale = min(1.0, _CROP / max(height, width))
    others = np.zeros((height + 2, width + 2), np.int32)  # with an invisible margin, where the window cuts cells
    layers = []
    for place, (number, cutout) in enumerate(cutouts.items(), start=1):
        part = _part(cutout, (top - 1, left - 1, bottom + 1, right + 1))
        if part is None:
            continue
        if number in (row, partner):
            layers.append(Outlines("own" if number == row else "partner", _outline(part, scale)))
        else:
            others[part > 0] = place
    layers.sort(key=lambda layer: layer.kind, reverse=True)  # the annotation itself on top of its partner
    if others.any():
        layers.insert(0, Outlines("other", _outline(others, scale, max(height, width) / _SEEN)))
    return draw_grey(grey[top:bottom, left:right], _CROP, (height, width), layers)


def svg_path(polygons: Iterable[Sequence[NDArray[np.int64]]]) -> str:
    """Return closed rings with corners (x, y) as an SVG path.

    Examples
    --------
    >>> svg_path([[np.array([[1, 0], [3, 0], [3, 1], [1, 2], [1, 0]])]])
    'M1 0h2v1l-2 1z'
    """
    words = []
    for rings in polygons:
        for ring in rings:
            words.append(f"M{ring[0, 0]} {ring[0, 1]}")
            for x, y in np.diff(ring[:-1], axis=0).tolist():
                words.append(f"h{x}" if not y else f"v{y}" if not x else f"l{x} {y}")
            words.append("z")
    return "".join(words)


def _outline(labels: NDArray[np.integer], scale: float, tolerance: float = 0.0) -> str:
    """Trace the labels in a window with a margin of one pixel, as exactly as a picture of that scale can show."""
    tolerance = max(tolerance, 0.5 / scale if scale < 1 else 0.0)
    cells = trace_outlines(labels).values()
    return "".join(
        svg_path([[ring - 1 for ring in polygon] for polygon in simplify_polygons(polygons, tolerance)])
        for polygons in cells
    )


def _window(cutout: Cutout, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the part of the image to show: the annotation with a margin of a third of its size."""
    centre = [start + size / 2 for start, size in zip(cutout.origin, cutout.mask.shape, strict=True)]
    half = max(0.5 * _LEAST, 0.67 * max(cutout.mask.shape))
    starts = [max(0, int(middle - half)) for middle in centre]
    ends = [min(size, int(middle + half) + 1) for middle, size in zip(centre, shape, strict=True)]
    return starts[0], starts[1], ends[0], ends[1]


def _part(cutout: Cutout, window: tuple[int, int, int, int]) -> NDArray[np.uint8] | None:
    """Return the part of an annotation in a window; None if it is empty."""
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
