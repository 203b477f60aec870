"""Several label images of one image, in one folder for each class of cells."""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.core.rle import Runs
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.partial import total
from cellprep.formats.annotations.record import Annotations, Components, ImageRecord, most_common
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.label_images.file import annotations_of_labels, annotations_of_pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFoldersImage(ImageRecord):
    """An image with one label image for each class of its cells.

    Attributes
    ----------
    files
        Classes and their files. Rows number the cells of all files from 1, file by file, in ascending order of labels.
    components
        Connectivity of pixels, if connected components of one value are cells; None if each value is a cell.
    """

    files: tuple[tuple[str, Path], ...]
    components: Components | None = None

    def content(self) -> list[Any]:
        """Return the classes with the hashes of their files, and whether components are cells."""
        hashes = [[name, ImageFile(path, self.orientation).sha256()] for name, path in self.files]
        return [*hashes, *filter(None, [self.components])]

    def known_types(self) -> frozenset[str]:
        """Return the classes that have a file."""
        return frozenset(name for name, _ in self.files)

    def sides(self) -> Sides | None:
        """Return the sides of a pixel from its image, or from the first label image that has them."""
        image = None if self.pixels is None else self.pixels.sides()
        told = (ImageFile(path, self.orientation).sides() for _, path in self.files)
        return image or next(filter(None, told), None)

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels of each class."""
        parts = [self._part(path) for _, path in self.files]
        shapes = [part.runs.shape for part in parts]
        if len(set(shapes)) > 1:
            sizes = [f"{path} is {size[0]} x {size[1]}" for (_, path), size in zip(self.files, shapes, strict=True)]
            raise AnnotationError(
                f"{', '.join(sizes)} (height x width): label images of one image must have the same size"
            )
        runs = Runs.joined([part.runs for part in parts])
        names = tuple(name for (name, _), part in zip(self.files, parts, strict=True) for _ in part.rows)
        ignored = [part.ignore for part in parts if part.ignore is not None]
        return Annotations(
            runs,
            tuple(range(1, len(runs) + 1)),
            names,
            most_common(names),
            ignore=reduce(np.logical_or, ignored) if ignored else None,
            ignored=total(part.ignored for part in parts),
        ).without(self.excluded)

    def _part(self, path: Path) -> Annotations:
        labels = ImageFile(path, self.orientation).decode_labels(beside=self.picture_tag)
        if self.components:
            return annotations_of_pieces(labels, self.components, str(path), self.partial.ignore_labels)
        return annotations_of_labels(labels, str(path), self.partial.ignore_labels)
