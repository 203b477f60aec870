"""Reader of folders of mask files: one folder per image, one file per cell, as in the 2018 Data Science Bowl."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.core.rle import Order, Runs, encode_rle, parse_rle
from cellprep.errors import AnnotationError, CellprepError, ImageFileError, SourceError
from cellprep.formats.annotations.record import Annotations, Components, FaultyImage, ImageRecord, check_excluded
from cellprep.formats.annotations.source import FolderSource
from cellprep.formats.images import IMAGE_FORMATS
from cellprep.formats.images.file import ImageFile
from cellprep.formats.label_images.file import annotations_of_pieces
from cellprep.formats.layouts.groups import Group, images_among
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.store.image_ids import composed, id_problem

_MASK_FORMATS = (".png", ".tif", ".tiff")
_ENOUGH = 1000  # smallest number of pixels of an image from which inverted masks are recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFilesImage(ImageRecord):
    """Mask files of one image.

    Attributes
    ----------
    folder
        The image's folder of masks.
    files
        (n,) their names, sorted; rows are their positions, from 1.
    components
        Connectivity of pixels, if connected components of a mask are cells; None if each mask is a cell. Rows then
        number the components, file by file, from 1.
    """

    folder: Path
    files: tuple[str, ...]
    components: Components | None = None

    @property
    def needs_shape(self) -> bool:
        """True if there is no mask that has the image's size."""
        if self.components:
            return not self.files
        return self.excluded.issuperset(range(1, len(self.files) + 1))

    def content(self) -> list[Any]:
        """Return the files' names and hashes, and whether components are cells."""
        files = [[name, ImageFile(self.folder / name, self.orientation).sha256()] for name in self.files]
        return [*files, *filter(None, [self.components])]

    def known_types(self) -> frozenset[str]:
        """Return that no annotation has a type."""
        return frozenset({""})

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the masks."""
        if self.components and self.files:
            return self._pieces(self.components, shape).without(self.excluded)
        check_excluded(self.excluded, range(1, len(self.files) + 1))
        rows = tuple(row for row in range(1, len(self.files) + 1) if row not in self.excluded)
        texts: list[str] = []
        larger = 0
        for row in rows:
            mask = self._mask(row, shape)
            shape = mask.shape
            larger += mask.size >= _ENOUGH and 2 * np.count_nonzero(mask) > mask.size and not mask.all()
            texts.append(encode_rle(mask))
        if shape is None:
            raise AnnotationError(f"{self.folder} contains no mask, and there is no image, so that the size is unknown")
        if larger == len(rows) > 1:
            raise AnnotationError(
                f"each mask in {self.folder} covers more than half of the image, as if cells were black on white: "
                "invert the masks, so that cells are white on black"
            )
        return Annotations(parse_rle(texts, shape), rows, ("",) * len(rows), "")

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Read the files one by one; no result if rows number components."""
        if self.components:
            return {}
        found = {}
        for row in range(1, len(self.files) + 1):
            try:
                shape = self._mask(row, shape).shape
            except CellprepError as error:
                found[row] = str(error)
        return found

    def _pieces(self, components: Components, shape: tuple[int, int] | None) -> Annotations:
        found = []
        for row in range(1, len(self.files) + 1):
            mask = self._mask(row, shape)
            shape = mask.shape
            place = str(self.folder / self.files[row - 1])
            found.append(annotations_of_pieces(mask.astype(np.uint8), components, place).runs)
        runs = Runs.joined(found)
        return Annotations(runs, tuple(range(1, len(runs) + 1)), ("",) * len(runs), "")

    def _mask(self, row: int, shape: tuple[int, int] | None) -> Any:
        """Return one mask, (H, W) bool, True where it is not black."""
        file = ImageFile(self.folder / self.files[row - 1], self.orientation)
        if file.path.suffix.lower() not in _MASK_FORMATS:
            raise ImageFileError(f"{file} is not a mask file: its name must end in {', '.join(_MASK_FORMATS)}")
        mask = file.decode_mask(beside=self.picture_tag)
        if mask.shape != (shape or mask.shape):
            raise AnnotationError(f"{file} is {_size(mask.shape)}, but the image or its first mask is {_size(shape)}")
        return mask


class MaskFolder(FolderSource):
    """Annotations in ``<id>/masks/*.png`` with ``<id>/images/<id>.png``, in the folder or its subfolders.

    Parameters
    ----------
    path
        The folder of the images' folders, or one above them, or the folder of one image.

    Raises
    ------
    SourceError
        If the folder cannot be read, or contains no masks.
    """

    format = "mask-folder"

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        layout = layout or Layout(path)
        self._groups = dict(sorted(layout.cell_folders.items()))
        if not self._groups:
            raise SourceError(f"{path} contains no folder <id>/masks")
        self._masks = {
            image_id: [folder / name for folder, names in group.mask_folders.items() for name in names]
            for image_id, group in self._groups.items()
        }
        cells = set(map(id, self._groups.values()))
        self.unannotated = [group.name for group in layout.groups if group.image_folders and id(group) not in cells]
        self.notes = layout.aside()
        self.sha256 = hash_of_listing([file for files in self._masks.values() for file in files], path)

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether subfolders contain masks of single cells."""
        return bool(layout.cell_folders)

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, sorted."""
        return list(self._masks)

    @property
    def has_pixels(self) -> bool:
        """True if there are images with the masks."""
        return any(group.image_folders for group in self._groups.values())

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, group in self._groups.items():
            try:
                yield self._record(image_id, group)
            except CellprepError as error:
                yield FaultyImage(image_id, str(error))

    def _record(self, image_id: str, group: Group) -> MaskFilesImage:
        folder = next(iter(group.mask_folders))
        if problem := id_problem(image_id):
            raise AnnotationError(f"{folder.parent}: {problem}")
        if len(group.mask_folders) > 1:
            raise AnnotationError(f"several folders of masks: {', '.join(map(str, group.mask_folders))}; keep one")
        return MaskFilesImage(
            image_id=image_id,
            source=self.name,
            folder=folder,
            files=tuple(file.name for file in self._masks[image_id]),
            components=self.components,
            pixels=_image(group, image_id) if group.image_folders else None,
        )


def _size(shape: Any) -> str:
    return f"{shape[0]} x {shape[1]} (height x width)"


def _image(group: Group, image_id: str) -> ImageFile:
    """Return the image, which may have another name if it is the only one."""
    files = images_among(group.images)
    folder, ends = group.image_folders[0], ", ".join(IMAGE_FORMATS)
    if not files:
        raise ImageFileError(f"{folder} contains no image ({ends})")
    named = [file for file in files if composed(file.stem) == composed(group.parts[-1] if group.parts else image_id)]
    found = files if len(files) == 1 else named
    if not found:
        raise ImageFileError(f"there is no image file {image_id}.* in {folder} ({ends})")
    if len(found) > 1:
        raise ImageFileError(f"several image files have this id: {', '.join(map(str, found))}; keep one")
    return ImageFile(found[0])
