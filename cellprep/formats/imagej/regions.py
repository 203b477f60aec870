"""ImageJ's regions of interest as rings of corners, and their files and archives.

https://imagej.net/ij/developer/source/ij/io/RoiDecoder.java.html
"""

import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from cellprep.errors import AnnotationError, TooLargeError
from cellprep.formats.names import is_foreign
from cellprep.system.files import read_file
from cellprep.system.memory import check_memory

Ring = NDArray[np.float64]

_MOST_BYTES = 2**28  # largest size of a region
_MOST_REGIONS = 1_000_000
_STEPS = 16  # line segments per curve
_LENGTHS = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}  # numbers after each command of a Java path
# Exceptions of zipfile for a damaged archive; a negative offset in it is a ValueError, encryption a RuntimeError.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)
_NAMES = {
    ROI_TYPE.LINE: "a line",
    ROI_TYPE.FREELINE: "a line",
    ROI_TYPE.POLYLINE: "a line",
    ROI_TYPE.ANGLE: "an angle",
    ROI_TYPE.POINT: "a set of points",
    ROI_TYPE.NOROI: "no region",
}

logging.getLogger("roifile").addHandler(logging.NullHandler())  # its warnings are errors here


def read_regions(path: Path) -> list[bytes]:
    """Return the bytes of the regions in a ``.roi`` file or a ZIP archive, in order.

    Names in the archive are only compared, and nothing is extracted to disk.

    Raises
    ------
    AnnotationError
        If it cannot be read, is damaged, or contains anything else.
    """
    try:
        content = read_file(path)
        if not content.startswith(b"PK"):
            return [content]
        return list(_unpacked(content))
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror}") from error
    except _DAMAGES as error:
        raise AnnotationError(f"{path} is damaged, or not a ZIP archive of ImageJ: {error}") from error
    except (AnnotationError, TooLargeError) as error:
        raise AnnotationError(f"{path}: {error}") from None


def is_regions(path: Path) -> bool:
    """Return whether a file is a region, or an archive of only regions."""
    try:
        content = read_file(path)
        if content.startswith(b"Iout"):
            return True
        if not content.startswith(b"PK"):
            return False
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = _entries(archive)
            return bool(entries) and archive.open(entries[0]).read(4) == b"Iout"
    except (OSError, AnnotationError, *_DAMAGES):
        return False


def _unpacked(content: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = _entries(archive)
        check_memory(sum(entry.file_size for entry in entries), "the content of its regions")
        for entry in entries:
            if entry.file_size > _MOST_BYTES:
                raise AnnotationError(f"{entry.filename!r} claims {entry.file_size:,} bytes: {_MOST_BYTES:,} at most")
            with archive.open(entry) as file:  # this reads no more than it claims
                yield file.read()


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the regions among the entries of an archive; raises AnnotationError if there are other entries."""
    parts = {entry: [part for part in re.split(r"[/\\]", entry.filename) if part] for entry in archive.infolist()}
    entries = [
        entry
        for entry in parts
        if not (entry.filename.endswith("/") or any(map(is_foreign, {*parts[entry]} - {".", ".."})))
    ]
    if len(entries) > _MOST_REGIONS:
        raise AnnotationError(f"it contains {len(entries):,} regions: {_MOST_REGIONS:,} at most")
    if strangers := [entry.filename for entry in entries if not entry.filename.lower().endswith(".roi")]:
        raise AnnotationError(f"it contains {strangers[0]!r} in addition to .roi files")
    return entries


def decode_region(content: bytes) -> ImagejRoi:
    """Decode a region.

    Raises
    ------
    AnnotationError
        If it is damaged.
    """
    with _damage_named():
        return ImagejRoi.frombytes(content)


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except (AnnotationError, MemoryError):
        raise
    except Exception as error:  # damaged files can raise anything
        raise AnnotationError("it is damaged, or not a region of ImageJ") from error


def rings_of(region: ImagejRoi) -> list[Ring]:
    """Return the corners (x, y) of a region's outlines, in pixels, to be filled by the even-odd rule.

    Raises
    ------
    AnnotationError
        If it has no area, such as a line, or an area that only ImageJ can compute.
    """
    if region.roitype in _NAMES:
        raise AnnotationError(f"it is {_NAMES[region.roitype]}, which has no area")
    if region.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        raise AnnotationError(f"it is {region.subtype.name.lower()}, not an outline")
    if region.options & ROI_OPTIONS.SPLINE_FIT or region.rounded_rect_arc_size:
        raise AnnotationError(
            "it is a curve that only ImageJ can compute: convert it to a polygon there (Edit > Selection)"
        )
    with _damage_named():
        if region.multi_coordinates is not None:
            return list(_paths(region.multi_coordinates.astype(np.float64)))
        if region.roitype == ROI_TYPE.OVAL:
            return [_oval(*_box(region))]
        if region.roitype == ROI_TYPE.RECT:
            left, top, width, height = _box(region)
            corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
            return [np.array(corners, np.float64)]
        return [np.asarray(region.coordinates(), np.float64)]


def properties_of(region: ImagejRoi) -> dict[str, str]:
    """Return a region's properties by name."""
    pairs = (line.partition(":") for line in region.props.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _box(region: ImagejRoi) -> tuple[float, float, float, float]:
    """Return left, top, width and height."""
    if region.subpixelrect:
        return region.xd, region.yd, region.widthd, region.heightd
    return region.left, region.top, region.right - region.left, region.bottom - region.top


def _oval(left: float, top: float, width: float, height: float) -> Ring:
    """Return a stepped outline around the pixels whose centres lie inside an ellipse."""
    check_memory(int(max(0, height)) * 64, "an oval")
    rows = np.arange(np.floor(top), np.ceil(top + height))
    across = (rows + 0.5 - (top + height / 2)) / (height / 2)
    half = width / 2 * np.sqrt(np.clip(1 - across**2, 0, None))
    middle = left + width / 2
    ys = np.stack([rows, rows + 1], axis=1).ravel()
    right, leftmost = np.repeat(middle + half, 2), np.repeat(middle - half, 2)
    return np.concatenate([np.stack([right, ys], axis=1), np.stack([leftmost, ys], axis=1)[::-1]])


def _paths(numbers: NDArray[np.float64]) -> Iterator[Ring]:
    """Yield the closed parts of a Java path: commands to move, to draw a line or a curve, and to close."""
    corners: list[NDArray[np.float64]] = []
    place = 0
    while place < len(numbers):
        command = int(numbers[place])
        points = numbers[place + 1 : place + 1 + _LENGTHS[command]].reshape(-1, 2)
        if len(points) * 2 < _LENGTHS[command]:
            raise ValueError("the path ends within a command")
        place += 1 + _LENGTHS[command]
        if command == 0 and corners:
            yield np.concatenate(corners)
            corners = []
        if command in (2, 3):
            points = _curve(np.concatenate([corners[-1][-1:], points]))
        corners += [points] if len(points) else []
    if corners:
        yield np.concatenate(corners)


def _curve(controls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of a Bézier curve after its first control point."""
    at = np.linspace(0, 1, _STEPS + 1)[1:, None, None]
    points = np.repeat(controls[None], _STEPS, axis=0)
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - at) + points[:, 1:] * at
    return points[:, 0]
