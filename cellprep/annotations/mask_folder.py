"""Reader of folders of mask files: one folder per image, one file per cell, as the 2018 Data Science Bowl has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.annotations.listing import entries_in, files_in, folders_in, hash_of_listing
from cellprep.annotations.record import Annotations, FaultyImage, ImageRecord, check_excluded
from cellprep.annotations.source import Source
from cellprep.errors import AnnotationError, CellprepError, ImageFileError, SourceError
from cellprep.image_formats import IMAGE_FORMATS
from cellprep.image_ids import id_problem
from cellprep.images import ImageFile, ImageFolder
from cellprep.rle import Order, encode_rle, parse_rle

__all__ = ["MaskFolder"]

_MASK_FORMATS = (".png", ".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFilesImage(ImageRecord):
    """The mask files of one image.

    Attributes
    ----------
    folder
        The image's folder of masks.
    files
        (n,) their names, sorted; each one's row is its place, from 1.
    """

    folder: Path
    files: tuple[str, ...]

    @property
    def needs_shape(self) -> bool:
        """Whether there is no mask to tell the image's size."""
        return self.excluded.issuperset(range(1, len(self.files) + 1))

    def content(self) -> list[Any]:
        """Return the files' names and hashes."""
        return [[name, ImageFile(self.folder / name, self.orientation).sha256()] for name in self.files]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the masks."""
        check_excluded(self.excluded, range(1, len(self.files) + 1))
        rows = tuple(row for row in range(1, len(self.files) + 1) if row not in self.excluded)
        texts = []
        for row in rows:
            mask = self._mask(row, shape)
            shape = mask.shape
            texts += encode_rle(mask[np.newaxis])
        if shape is None:
            raise AnnotationError(f"{self.folder} holds no mask, and there is no image: nothing tells the size")
        return Annotations(parse_rle(texts, shape), rows, ("",) * len(rows), "")

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Read the files one by one."""
        found = {}
        for row in range(1, len(self.files) + 1):
            try:
                shape = self._mask(row, shape).shape
            except CellprepError as error:
                found[row] = str(error)
        return found

    def _mask(self, row: int, shape: tuple[int, int] | None) -> Any:
        """Return one mask, (H, W) bool: what is not black."""
        file = ImageFile(self.folder / self.files[row - 1], self.orientation)
        if file.path.suffix.lower() not in _MASK_FORMATS:
            raise ImageFileError(f"{file} is no mask file: its name must end in {', '.join(_MASK_FORMATS)}")
        mask = file.decode_mask(beside=self.picture_tag)
        if mask.shape != (shape or mask.shape):
            raise AnnotationError(f"{file} is {_size(mask.shape)}, the image or its first mask {_size(shape)}")
        return mask


class MaskFolder(Source):
    """Annotations in ``<id>/masks/*.png`` beside ``<id>/images/<id>.png``.

    Parameters
    ----------
    path
        The folder of the images' folders.

    Raises
    ------
    SourceError
        If the folder cannot be read, or no folder in it has masks.
    """

    format = "mask-folder"

    def __init__(self, path: Path, _order: Order | None = None) -> None:
        super().__init__(path)
        folders = folders_in(path)
        self._masks = {folder.name: entries_in(folder / "masks") for folder in folders if (folder / "masks").is_dir()}
        if not self._masks:
            raise SourceError(f"{path} holds no folder <id>/masks")
        self.unannotated = [
            folder.name for folder in folders if folder.name not in self._masks and (folder / "images").is_dir()
        ]
        self.sha256 = hash_of_listing([file for files in self._masks.values() for file in files], path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether folders in a folder hold masks."""
        return path.is_dir() and any((folder / "masks").is_dir() for folder in folders_in(path))

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, sorted."""
        return list(self._masks)

    @property
    def has_pixels(self) -> bool:
        """Whether there are images beside masks."""
        return any((self.path / image_id / "images").is_dir() for image_id in self._masks)

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, files in self._masks.items():
            try:
                yield self._record(image_id, files)
            except CellprepError as error:
                yield FaultyImage(image_id, str(error))

    def _record(self, image_id: str, files: Sequence[Path]) -> MaskFilesImage:
        folder = self.path / image_id
        if problem := id_problem(image_id):
            raise AnnotationError(f"{folder}: {problem}")
        return MaskFilesImage(
            image_id=image_id,
            source=self.name,
            folder=folder / "masks",
            files=tuple(file.name for file in files),
            pixels=_image(folder / "images", image_id) if (folder / "images").is_dir() else None,
        )


def _size(shape: Any) -> str:
    return f"{shape[0]} x {shape[1]} (height x width)"


def _image(folder: Path, image_id: str) -> ImageFile:
    """Find the image, which may have another name if it is the only one."""
    files = files_in(folder, IMAGE_FORMATS)
    if len(files) == 1:
        return ImageFile(files[0])
    if not files:
        raise ImageFileError(f"{folder} holds no image ({', '.join(IMAGE_FORMATS)})")
    return ImageFolder(folder).find(image_id)
