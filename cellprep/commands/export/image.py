"""Exporting one image: what a worker does."""

from dataclasses import dataclass, replace

from cellprep.commands.export.writing import WritingTask, Written, write_content
from cellprep.formats.annotations.content import read_content
from cellprep.store import StoredImage
from cellprep.system.executor import Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageExport(WritingTask):
    """One image to export.

    Attributes
    ----------
    image
        The image.
    """

    image: StoredImage

    @property
    def image_id(self) -> str:
        """The image's name."""
        return self.image.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome(Written):
    """The exported content of an image.

    Attributes
    ----------
    cells
        Number of its cells with pixels.
    hidden
        Source rows of the cells without pixels.
    ignore_left_out
        Whether it has regions to ignore that the format cannot express.
    """

    cells: int = 0
    hidden: tuple[int, ...] = ()
    ignore_left_out: bool = False


def export_image(task: ImageExport) -> ImageOutcome | Failed:
    """Export one image."""
    try:
        content = replace(read_content(task.image), types=task.types)
        return ImageOutcome(
            **write_content(task, content),
            cells=len(content.visible),
            hidden=content.hidden_rows,
            ignore_left_out=content.ignore is not None and "ignore" not in task.exporter.holds,
        )
    except OSError as error:
        return Failed(error.strerror or str(error), unwritable=True)
