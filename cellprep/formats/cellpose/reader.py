"""Reader of Cellpose's ``_seg.npy`` files, without running code pickled in them, and of its outlines."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, RLEError, SourceError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord, check_shape
from cellprep.formats.cellpose.outlines import read_outlines
from cellprep.formats.cellpose.unpickling import as_array, read_seg
from cellprep.formats.label_images.file import annotations_of_labels
from cellprep.formats.layouts.beside import Beside, BesideSource, find_beside, images_of
from cellprep.formats.layouts.groups import Group, is_pickled
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.formats.names import outlined_image
from cellprep.store.image_ids import composed, id_problem
from cellprep.system.files import open_file, read_file

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
        return [hashlib.sha256(read_bytes(self.path)).hexdigest()]

    def known_types(self) -> frozenset[str]:
        """Return that no cell has a type."""
        return frozenset({""})

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the masks."""
        try:
            found = read_seg(read_bytes(self.path))
            if "masks" not in found:
                raise AnnotationError("it has no masks: draw or compute some in Cellpose, and save them")
            masks = as_array(found["masks"])
        except AnnotationError as error:
            raise AnnotationError(f"{self.path}: {error}") from error
        masks = masks[0] if masks.ndim == 3 and len(masks) == 1 else masks
        if masks.ndim == 3:
            planes, height, width = masks.shape
            raise AnnotationError(
                f"{self.path} contains a stack of {planes} planes, {height} x {width}: one plane is expected"
            )
        ignore = self.partial.ignore_labels
        # Former versions used -1 for the background, and cells began at 0.
        if masks.size and masks.min() == -1 and -1 not in ignore:
            masks, ignore = masks.astype(np.int64) + 1, [number + 1 for number in ignore]
        return annotations_of_labels(masks, str(self.path), ignore).without(self.excluded)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedImage(ImageRecord):
    """Outlines in a text file: a line per cell, ``x,y,x,y,...`` of its rim pixels. Rows are line numbers.

    Attributes
    ----------
    path
        The file.
    """

    path: Path

    @property
    def needs_shape(self) -> bool:
        """True if only its image has the size, which is always the case."""
        return True

    def content(self) -> list[Any]:
        """Return the hash of the file's bytes."""
        return [hashlib.sha256(read_bytes(self.path)).hexdigest()]

    def known_types(self) -> frozenset[str]:
        """Return that no cell has a type."""
        return frozenset({""})

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Fill the outlines."""
        if shape is None:
            raise AnnotationError(
                f"{self.path} does not have the size of its image: put the image next to it, with the same name, or "
                "give the images (--images)"
            )
        check_shape(shape)
        try:
            found = read_outlines(read_bytes(self.path), shape)
        except RLEError as error:
            raise AnnotationError(f"{self.path} line {error.place + 1}: {error.problem}") from error
        rows = tuple(range(1, len(found) + 1))
        return Annotations(found, rows, ("",) * len(rows), "").without(self.excluded)


def read_bytes(path: Path) -> bytes:
    """Read a file; raises AnnotationError if this is not possible."""
    try:
        return read_file(path)
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror}") from error


class CellposeFolder(BesideSource):
    """Annotations of Cellpose in ``<id>_seg.npy``, otherwise in ``<id>_cp_outlines.txt``, next to ``<id>.*``.

    Masks that Cellpose saves as images, ``<id>_cp_masks.*``, take precedence: they are read as a folder of label
    images.

    Parameters
    ----------
    path
        The folder with its subfolders, or a single file.

    Raises
    ------
    SourceError
        If there is no such file.
    """

    format = "cellpose-seg"
    has_numbers = True

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        alone = not path.is_dir()
        layout = Layout(path.parent, 0) if alone else layout or Layout(path)
        found = [one for group in layout.groups for one in (_files_named(group, path.name) if alone else _files(group))]
        self._images = find_beside(found)
        if not self._images:
            raise SourceError(f"{path} contains neither _seg.npy nor _outlines.txt files of Cellpose")
        files = [file for beside in self._images.values() for file in beside.files]
        self.sha256 = hash_of_listing(files, path.parent if alone else path)
        if not alone:
            self.unannotated = [name for group in layout.groups for name in _without_masks(group)]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path is such a file, or a folder with such files."""
        if path.is_dir():
            return super().recognises(path)
        return path.is_file() and (is_pickled(path) or _is_outlines(path))

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder contains such files, and no other masks."""
        if layout.has_masks:
            return False
        return any(group.pickles or any(map(_is_outlines, group.outlines[:1])) for group in layout.groups)

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, beside in self._images.items():
            if problem := id_problem(image_id) or _problem(beside):
                yield FaultyImage(image_id, f"{beside.files[0]}: {problem}")
            else:
                kind = OutlinedImage if outlined_image(beside.files[0].name) else CellposeImage
                yield kind(image_id=image_id, source=self.name, path=beside.files[0], pixels=beside.pixels)


def _problem(beside: Beside) -> str:
    if len(beside.files) > 1:
        return f"several files belong to this image: {', '.join(map(str, beside.files))}; keep one"
    return beside.problem


def _files(group: Group) -> list[tuple[Group, str, Path]]:
    """Return a group's files with the names of their images; outlines only for images without masks."""
    masks = [(group, composed(file.stem[: -len(_END)]), file) for file in group.pickles]
    known = {name for _, name, _ in masks}
    outlines = [(group, composed(outlined_image(file.name)), file) for file in group.outlines]
    return [*masks, *(one for one in outlines if one[1] not in known)]


def _files_named(group: Group, name: str) -> list[tuple[Group, str, Path]]:
    one = replace(
        group,
        pickles=[file for file in group.pickles if file.name == name],
        outlines=[file for file in group.outlines if file.name == name],
    )
    return [(group, image, file) for _, image, file in _files(one)]


def _is_outlines(path: Path) -> bool:
    """Return whether a file is a text of outlines, by its name and first bytes."""
    if not outlined_image(path.name):
        return False
    try:
        with open_file(path) as file:
            return re.match(rb"\d+(,\d+){5}", file.read(200)) is not None
    except OSError:
        return False


def _without_masks(group: Group) -> list[str]:
    """Return the names of a group's images without such a file."""
    known = {name for _, name, _ in _files(group)}
    return ["/".join([*group.parts, one.name]) for one in images_of(group) if composed(one.stem) not in known]
