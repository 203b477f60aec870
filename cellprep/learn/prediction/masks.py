"""Where cells are, as somebody else tells: label or mask images, or a store."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.annotations.label_file import LabelFileImage, read_labels
from cellprep.annotations.label_folder import LabelFolder
from cellprep.annotations.mask_folder import MaskFolder
from cellprep.annotations.record import FaultyImage
from cellprep.errors import CellprepError, ImageFileError, UsageError
from cellprep.learn.prediction.maps import BACKGROUND
from cellprep.store import open_store

__all__ = ["MaskFiles", "MaskSource", "StoredMasks", "classes_of_mask"]


class MaskSource(Protocol):
    """Tells where cells are."""

    def find(self, image_id: str) -> NDArray[np.uint8]:
        """Return the classes of an image's pixels: (H, W) uint8, the channel of ``semseg`` that is 1."""


def classes_of_mask(mask: ArrayLike) -> NDArray[np.uint8]:
    """Return the classes of a mask or label image, above 0 where there are cells.

    Raises
    ------
    UsageError
        If it is not (H, W).
    """
    inside = np.asarray(mask)
    if inside.ndim != 2:
        raise UsageError(f"the mask has shape {inside.shape}: it should be (H, W)")
    return np.where(inside > 0, np.uint8(0), np.uint8(BACKGROUND))


class MaskFiles:
    """Label or mask images in a folder, named by the images' ids, in the layouts that label folders may have.

    Raises
    ------
    CellprepError
        If the folder cannot be read, or holds none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise ImageFileError(f"there is no folder of masks {folder}")
        reader = MaskFolder if MaskFolder.recognises(folder) else LabelFolder
        self._records = {record.image_id: record for record in reader(folder).images()}

    def find(self, image_id: str) -> NDArray[np.uint8]:
        """Read a file."""
        record = self._records.get(image_id)
        if record is None:
            raise ImageFileError(f"there is no mask of it in {self.folder}")
        if isinstance(record, FaultyImage):
            raise ImageFileError(record.problem)
        if not isinstance(record, LabelFileImage):
            return classes_of_mask(record.load().runs.coverage())
        try:
            return classes_of_mask(read_labels(record.path))
        except UsageError as error:
            raise ImageFileError(f"{record.path}: {error}") from None


class StoredMasks:
    """The true ``semseg`` of a store's images.

    Raises
    ------
    CellprepError
        If there is no store.
    """

    def __init__(self, path: Path) -> None:
        self._store = open_store(path)

    def find(self, image_id: str) -> NDArray[np.uint8]:
        """Read an array."""
        if image_id not in self._store:
            raise CellprepError(f"{self._store.path} has no image of this id, which would tell its mask")
        image = self._store[image_id]
        classes = np.empty(image.shape, np.uint8)
        for band in image.bands():
            classes[band] = image.read("semseg", band).argmax(axis=2)
        return classes
