"""Exporting one image: what a worker does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.formats.annotations.content import read_content
from cellprep.formats.writers import FilePerImage, OneFile
from cellprep.store import StoredImage
from cellprep.system.executor import Failed


@dataclass(frozen=True, slots=True)
class ImageExport:
    """One image to export: small enough to send to another process.

    Attributes
    ----------
    image
        The image.
    format
        The format.
    path
        The file to write, if it gets one of its own.
    """

    image: StoredImage
    format: OneFile | FilePerImage
    path: Path | None


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """The exported content of an image.

    Attributes
    ----------
    part
        Its part of a format of one file; else nothing.
    cells
        Number of its cells with pixels.
    hidden
        Source rows of the cells without pixels.
    ignore_left_out
        Whether it has regions to ignore that the format cannot express.
    """

    part: Any = None
    cells: int = 0
    hidden: tuple[int, ...] = ()
    ignore_left_out: bool = False


def export_image(task: ImageExport) -> ImageOutcome | Failed:
    """Export one image."""
    try:
        return _export(task)
    except OSError as error:
        return Failed(error.strerror or str(error), unwritable=True)


def _export(task: ImageExport) -> ImageOutcome:
    content = read_content(task.image)
    part = task.format.encode(content)
    if task.path:
        task.path.write_bytes(part)
    return ImageOutcome(
        part=None if task.path else part,
        cells=len(content.visible),
        hidden=content.hidden_rows,
        ignore_left_out=content.ignore is not None and not task.format.keeps_ignore,
    )
