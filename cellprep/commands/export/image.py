"""Exporting one image: what a worker does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.errors import CellprepError
from cellprep.formats.annotations.content import read_content
from cellprep.formats.writers import FilePerImage, OneFile
from cellprep.store import StoredImage
from cellprep.text.wording import unexpected


@dataclass(frozen=True, slots=True)
class ImageExport:
    """One image to export: small enough to send to another process.

    Attributes
    ----------
    number
        The image's place among all, from 0.
    image
        The image.
    format
        The format.
    path
        The file to write, if it gets one of its own.
    """

    number: int
    image: StoredImage
    format: OneFile | FilePerImage
    path: Path | None


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What became of one image.

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
    problem
        What is wrong, if it failed.
    unwritable
        Whether it failed because the disk takes no more.
    """

    part: Any = None
    cells: int = 0
    hidden: tuple[int, ...] = ()
    ignore_left_out: bool = False
    problem: str = ""
    unwritable: bool = False


def export_image(task: ImageExport) -> ImageOutcome:
    """Export one image. Never raises."""
    try:
        return _export(task)
    except CellprepError as error:
        return ImageOutcome(problem=str(error))
    except OSError as error:
        return ImageOutcome(problem=error.strerror or str(error), unwritable=True)
    except MemoryError:
        return ImageOutcome(problem="there is not enough memory for it")
    except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are exported
        return ImageOutcome(problem=unexpected(error))


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
