"""Reader of Cellpose's ``_seg.npy`` beside images; without running what is pickled in them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, SourceError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.annotations.source import FolderSource
from cellprep.formats.cellpose.unpickling import as_array, read_seg
from cellprep.formats.label_images.file import annotations_of_labels
from cellprep.formats.layouts.beside import Beside, find_beside, images_of
from cellprep.formats.layouts.groups import Group, is_pickled
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.store.image_ids import composed, id_problem
from cellprep.system.files import read_file

_END = "_seg"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellposeImage(ImageRecord):
    """The masks in a ``_seg.npy``.

    Attributes
    ----------
    path
        The file.
    """

    path: Path

    def content(self) -> list[Any]:
        """Return the hash of the file's bytes."""
        return [hashlib.sha256(self._read()).hexdigest()]

    def known_types(self) -> frozenset[str]:
        """Return that no cell has a type."""
        return frozenset({""})

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the masks."""
        try:
            found = read_seg(self._read())
            if "masks" not in found:
                raise AnnotationError("it has no masks: in Cellpose, draw or compute some, and save them")
            masks = as_array(found["masks"])
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from error
        masks = masks[0] if masks.ndim == 3 and len(masks) == 1 else masks
        if masks.ndim == 3:
            planes, height, width = masks.shape
            raise AnnotationError(f"{self.path} holds a stack of {planes} planes, {height} x {width}: one is expected")
        if masks.size and masks.min() == -1:  # as Cellpose wrote its background once
            masks = masks.astype(np.int64) + 1
        return annotations_of_labels(masks, str(self.path)).without(self.excluded)

    def _read(self) -> bytes:
        try:
            return read_file(self.path)
        except OSError as error:
            raise AnnotationError(f"cannot read {self.path}: {error.strerror}") from error


class CellposeFolder(FolderSource):
    """Annotations in ``<id>_seg.npy``, as Cellpose's program saves them beside ``<id>.*``.

    Masks that Cellpose saves as images, ``<id>_cp_masks.*``, go before them: these are a folder of label images.

    Parameters
    ----------
    path
        The folder, with those below it; or one file.

    Raises
    ------
    SourceError
        If there is no such file.
    """

    format = "cellpose-seg"

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        alone = not path.is_dir()
        layout = Layout(path.parent, 0) if alone else layout or Layout(path)
        found = [(group, _name(file), file) for group in layout.groups for file in group.pickles]
        self._images = find_beside(one for one in found if not alone or one[2].name == path.name)
        if not self._images:
            raise SourceError(f"{path} holds no _seg.npy of Cellpose")
        files = [file for beside in self._images.values() for file in beside.files]
        self.sha256 = hash_of_listing(files, path.parent if alone else path)
        if not alone:
            self.unannotated = [name for group in layout.groups for name in _without_masks(group)]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path is such a file, or a folder of some."""
        if path.is_dir():
            return super().recognises(path)
        return path.name.lower().endswith(f"{_END}.npy") and path.is_file() and is_pickled(path)

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder holds such files, and no masks of another kind."""
        return any(group.pickles for group in layout.groups) and not layout.has_masks

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, sorted."""
        return list(self._images)

    @property
    def has_pixels(self) -> bool:
        """Whether there are images beside the files."""
        return any(beside.images for beside in self._images.values())

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, beside in self._images.items():
            if problem := id_problem(image_id) or _problem(beside):
                yield FaultyImage(image_id, f"{beside.files[0]}: {problem}")
            else:
                yield CellposeImage(image_id=image_id, source=self.name, path=beside.files[0], pixels=beside.pixels)


def _problem(beside: Beside) -> str:
    if len(beside.files) > 1:
        return f"several files are of this image: {', '.join(map(str, beside.files))}; keep one"
    return beside.problem


def _name(file: Path) -> str:
    return composed(file.stem[: -len(_END)])


def _without_masks(group: Group) -> list[str]:
    """Return the names of a group's images that have no such file."""
    known = set(map(_name, group.pickles))
    return ["/".join([*group.parts, one.name]) for one in images_of(group) if composed(one.stem) not in known]
