"""Export of one image in a worker."""

from dataclasses import dataclass, replace

from cellprep.commands.export.losses import losses_of
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


def export_image(task: ImageExport) -> Written | Failed:
    """Export one image."""
    try:
        content = replace(read_content(task.image), types=task.types)
        return Written(
            **write_content(task, content),
            cells=len(content.visible),
            hidden=content.hidden_rows,
            **losses_of(content, task.exporter),
        )
    except OSError as error:
        return Failed(error.strerror or str(error), unwritable=True)
