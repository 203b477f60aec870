"""Where cells are, as somebody else tells: label or mask images, or a store."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_numbers
from cellprep.errors import CellprepError, ImageFileError, UsageError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.images.file import ImageFile
from cellprep.formats.readers import open_source
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.maps import BACKGROUND
from cellprep.store import open_store


class MaskSource(Protocol):
    """Tells where cells are; `notes` say how it was read."""

    notes: list[str]

    def find(self, image: InputImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the classes of an image's pixels: (H, W) uint8, the channel of ``semseg`` that is 1.

        Parameters
        ----------
        image
            The image.
        shape
            (H, W) of it, for masks that tell no size.
        """


def classes_of_mask(mask: ArrayLike) -> NDArray[np.uint8]:
    """Return the classes of a mask or label image, above 0 where there are cells.

    Raises
    ------
    UsageError
        If it is not (H, W).
    """
    inside = as_numbers(mask, "mask", "a file, or an array (H, W)")
    if inside.ndim != 2:
        raise UsageError(f"the mask has shape {inside.shape}: it should be (H, W)")
    return np.where(inside > 0, np.uint8(0), np.uint8(BACKGROUND))


class MaskFiles:
    """Label or mask images, or other annotations of the images' ids: read as they are to build targets.

    Raises
    ------
    CellprepError
        If they cannot be read, or there are none.
    """

    def __init__(self, path: Path | str) -> None:
        self._source = open_source(path)
        self.notes = self._source.notes
        self._records = {record.image_id: record for record in self._source.images()}

    def find(self, image: InputImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Read the annotations; `shape` is that of the image."""
        record = self._records.get(image.id)
        if record is None:
            raise ImageFileError(f"there is no mask of it in {self._source.path}")
        if isinstance(record, FaultyImage):
            raise ImageFileError(record.problem)
        orientation = image.pixels.orientation if isinstance(image.pixels, ImageFile) else None
        read = replace(record, pixels=image.pixels).read_as(orientation)
        return classes_of_mask(read.load(shape if read.needs_shape else None).runs.coverage())


class StoredMasks:
    """The true ``semseg`` of a store's images.

    Raises
    ------
    CellprepError
        If there is no store.
    """

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self._store = open_store(path)

    def find(self, image: InputImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Read an array, whatever the shape."""
        if image.id not in self._store:
            raise CellprepError(f"{self._store.path} has no image of this id, which would tell its mask")
        stored = self._store[image.id]
        classes = np.empty(stored.shape, np.uint8)
        for band in stored.bands():
            classes[band] = stored.read("semseg", band).argmax(axis=2)
        return classes
