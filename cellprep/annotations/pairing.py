"""Images of a folder to the records of a source."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cellprep.annotations.record import FaultyImage, ImageRecord
from cellprep.annotations.source import Source
from cellprep.errors import ImageFileError, UsageError
from cellprep.images import ImageFolder
from cellprep.places import as_place

__all__ = ["open_images", "with_images"]


def open_images(source: Source, path: Path | str | None) -> ImageFolder | None:
    """Open the folder of a source's images, if one is given.

    Raises
    ------
    ImageFileError
        If it cannot be read.
    UsageError
        If none is given for a source that needs one.
    """
    if path is not None:
        return ImageFolder(as_place(path))
    if source.needs_images:
        raise UsageError(f"{source.name} has no columns width and height: give the images, whose files tell (--images)")
    return None


def with_images(
    source: Source, folder: ImageFolder | None, *, for_sizes: bool = False
) -> Iterator[ImageRecord | FaultyImage]:
    """Yield the images of a source, with their files if there is a folder; `for_sizes` only where they need one."""
    for image in source.images():
        if folder is None or isinstance(image, FaultyImage) or (for_sizes and not image.needs_shape):
            yield image
            continue
        try:
            yield replace(image, pixels=folder.find(image.image_id, image.file_name))
        except ImageFileError as error:
            yield FaultyImage(image.image_id, str(error))
