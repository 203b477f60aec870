"""Given masks of cells: label or mask images, or a store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.cells import look_up
from cellprep.core.label_images import as_numbers
from cellprep.errors import CellprepError, ImageFileError, UsageError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.images.file import ImageFile
from cellprep.formats.readers import open_source
from cellprep.learn.data.classes import NO_CLASS, classes_of_labels
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.maps import BACKGROUND
from cellprep.store import StoredImage, open_store

#: The byte for background, or a cell of unknown class.
NO_TYPE = 255


class MaskSource(Protocol):
    """A source of masks; `notes` report how it was read."""

    notes: list[str]

    def find(self, image: InputImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the classes of an image's pixels: (H, W) uint8, the channel of ``semseg`` that is 1.

        Parameters
        ----------
        image
            The image.
        shape
            (H, W) of the image, for masks without a size.
        """

    def find_types(self, image: InputImage, names: Sequence[str]) -> NDArray[np.uint8] | None:
        """Return the class of the cell at each pixel: (H, W) uint8, its index in the names, or `NO_TYPE`.

        None if the source has no classes.
        """


def classes_of_mask(mask: ArrayLike) -> NDArray[np.uint8]:
    """Return the classes of a mask or label image, which is above 0 in cells.

    Raises
    ------
    UsageError
        If it is not (H, W).
    """
    inside = as_numbers(mask, "mask", "a file, or an array (H, W)")
    if inside.ndim != 2:
        raise UsageError(f"the mask has shape {inside.shape}: it must be (H, W)")
    return np.where(inside > 0, np.uint8(0), np.uint8(BACKGROUND))


class MaskFiles:
    """Label or mask images, or other annotations with the images' ids, read as for building targets.

    Raises
    ------
    CellprepError
        If they cannot be read, or do not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self._source = open_source(path)
        self.notes = self._source.notes
        self._records = {record.image_id: record for record in self._source.images()}

    def find(self, image: InputImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Read the annotations; `shape` is that of the image."""
        record = self._records.get(image.id)
        if record is None:
            raise ImageFileError(f"it has no mask in {self._source.path}")
        if isinstance(record, FaultyImage):
            raise ImageFileError(record.problem)
        orientation = image.pixels.orientation if isinstance(image.pixels, ImageFile) else None
        read = replace(record, pixels=image.pixels).read_as(orientation)
        return classes_of_mask(read.load(shape if read.needs_shape else None).runs.coverage())

    def find_types(self, image: InputImage, names: Sequence[str]) -> None:
        """Return None: annotations of different classes may overlap."""


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
        """Read an array, regardless of the shape."""
        stored = self._stored(image)
        classes = np.empty(stored.shape, np.uint8)
        for band in stored.bands():
            classes[band] = stored.read("semseg", band).argmax(axis=2)
        return classes

    def find_types(self, image: InputImage, names: Sequence[str]) -> NDArray[np.uint8]:
        """Read the labels, and look up the types of their cells."""
        stored = self._stored(image)
        of_labels = classes_of_labels(stored, stored.read("cells"), names)
        table = np.where(of_labels == NO_CLASS, NO_TYPE, of_labels).astype(np.uint8)
        types = np.empty(stored.shape, np.uint8)
        for band in stored.bands():
            types[band] = look_up(table, stored.read("labels", band))
        return types

    def _stored(self, image: InputImage) -> StoredImage:
        if image.id not in self._store:
            raise CellprepError(f"it has no mask, as {self._store.path} has no image with this id")
        return self._store[image.id]
