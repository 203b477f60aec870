"""Files of label images: PNG, TIFF, BMP, NPY and NPZ, with any integer type, or with floats that are whole numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.core.label_images import looks_like_picture, whole_numbers
from cellprep.core.rle import runs_from_labels
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.partial import Ignored, named_label
from cellprep.formats.annotations.record import Annotations, Components, ImageRecord, most_common
from cellprep.formats.images.file import ImageFile
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.label_images.types import read_types
from cellprep.store.image_ids import file_uuid
from cellprep.system.files import read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFileImage(ImageRecord):
    """A label image in a file.

    Attributes
    ----------
    path
        The file.
    may_be_picture
        Whether to accept values that look like those of a picture.
    components
        Connectivity of pixels, if connected components of one value are cells; None if each value is a cell.
    file
        The file with its bytes, if `fingerprinted` has read them.
    types
        Table of the classes of labels, if any.
    """

    rows_are_labels: ClassVar[bool] = True

    path: Path
    may_be_picture: bool = False
    components: Components | None = None
    file: ImageFile | None = None
    types: Path | None = None

    def content(self) -> list[Any]:
        """Return the file's hash, and whether components are cells."""
        return self._content(ImageFile(self.path, self.orientation).sha256())

    def fingerprinted(self) -> tuple[str, Self]:
        """Read the file once, unless it is large."""
        sha256, file = ImageFile(self.path, self.orientation).hashed()
        return self._hash_of(self._content(sha256)), replace(self, file=file)

    def _content(self, sha256: str) -> list[Any]:
        types = [read_types(self.types)[1]] if self.types else []
        return [sha256, *filter(None, [self.components]), *types]

    def known_types(self) -> frozenset[str] | None:
        """Return that no annotation has a type; None if there is a table, as only some of its labels may exist."""
        return None if self.types else frozenset({""})

    def all_types(self) -> frozenset[str]:
        """Return the types in the table, if any."""
        return frozenset(read_types(self.types)[0].names.values()) if self.types else frozenset({""})

    def sides(self) -> Sides | None:
        """Return the sides of a pixel from its image, or from the label image."""
        image = None if self.pixels is None else self.pixels.sides()
        return image or (self.file or ImageFile(self.path, self.orientation)).sides()

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels."""
        file = self.file or ImageFile(self.path, self.orientation)
        labels = file.decode_labels(beside=self.picture_tag)
        if self.components:
            pieces = annotations_of_pieces(labels, self.components, str(self.path), self.partial.ignore_labels)
            return pieces.without(self.excluded)
        if not self.may_be_picture and labels.ndim == 2 and looks_like_picture(labels) and not _is_our_own(file):
            raise AnnotationError(
                f"{self.path} looks like a picture by its values: a label image has one number per cell. Name label "
                "images <id>_masks.*, or put them into masks/ next to images/; masks have 0 and 1. If the command has "
                "--format, label-folder accepts it as it is"
            )
        found = annotations_of_labels(labels, str(self.path), self.partial.ignore_labels)
        return (_typed(found, self.types) if self.types else found).without(self.excluded)


def _typed(annotations: Annotations, table: Path) -> Annotations:
    """Return the annotations with the classes of their labels in a table."""
    types, _ = read_types(table)
    names = tuple(types.names.get(row, "") for row in annotations.rows)
    told = annotations.rows and types.scores.keys() >= set(annotations.rows)
    scores = tuple(types.scores[row] for row in annotations.rows) if told else None
    return replace(annotations, cell_types=names, cell_type=most_common(names), type_scores=scores)


def _is_our_own(file: ImageFile) -> bool:
    """Return whether cellprep wrote a file: predictions of a bad network are as fragmented as a picture."""
    return file_uuid(file.path.stem).encode() in read_file(file.path)


def annotations_of_labels(labels: NDArray[Any], place: str, ignore: Sequence[int] = ()) -> Annotations:
    """Return each label of an image as one annotation, whose row is the label.

    Parameters
    ----------
    labels
        (H, W) integers, or floats that are whole numbers; 0 = background.
    place
        Origin of the labels, for messages.
    ignore
        Numbers that mark pixels to ignore instead of cells.

    Raises
    ------
    AnnotationError
        If it is not a label image.
    """
    whole = _as_integers(labels, place)
    labels, ignored = _without(whole, ignore)
    runs, values = runs_from_labels(_checked(labels, place))
    return _ignoring(Annotations(runs, tuple(values.tolist()), ("",) * len(runs), ""), whole, ignored, ignore)


def annotations_of_pieces(
    labels: NDArray[Any], components: Components, place: str, ignore: Sequence[int] = ()
) -> Annotations:
    """Return each connected component of pixels of one value as one annotation, whose type is this value.

    Rows number the components from 1, in raster order of their first pixels. Parameters and errors are those of
    `annotations_of_labels`; `components` is the connectivity, 4 or 8.

    Examples
    --------
    >>> found = annotations_of_pieces(np.array([[1, 0, 2], [0, 1, 0]]), 4, "a.png")
    >>> found.rows, found.cell_types
    ((1, 2, 3), ('1', '2', '1'))
    >>> len(annotations_of_pieces(np.array([[1, 0, 2], [0, 1, 0]]), 8, "a.png").rows)
    2
    """
    from skimage.measure import label

    whole = _as_integers(labels, place)
    labels, ignored = _without(whole, ignore)
    labels = _checked(labels, place)
    numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)  # small numbers, regardless of the labels
    pieces = label(numbers, background=0 if labels.min() == 0 else -1, connectivity=1 if components == 4 else 2)
    runs, values = runs_from_labels(pieces)
    firsts = labels.ravel()[runs.starts[runs.offsets[:-1]]]
    cell_types = tuple(map(str, firsts.tolist()))
    found = Annotations(runs, tuple(values.tolist()), cell_types, most_common(cell_types))
    return _ignoring(found, whole, ignored, ignore)


def _as_integers(labels: NDArray[Any], place: str) -> NDArray[Any]:
    """Return labels as integers; raises AnnotationError if they are not whole numbers."""
    if labels.ndim != 2 or not labels.size:
        raise AnnotationError(
            f"{place} has the shape {labels.shape}: a label image must have one number per pixel, (height, width)"
        )
    try:
        return whole_numbers(labels)
    except ValueError as error:
        raise AnnotationError(f"{place} {error}") from None


def _without(labels: NDArray[Any], numbers: Sequence[int]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return labels with some numbers replaced by 0, and their pixels; None if they do not occur."""
    if not numbers:
        return labels, None
    limits = np.iinfo(labels.dtype)
    possible = [number for number in numbers if limits.min <= number <= limits.max]
    ignored = np.isin(labels, np.array(possible, labels.dtype))
    return (np.where(ignored, labels.dtype.type(0), labels), ignored) if ignored.any() else (labels, None)


def _ignoring(
    annotations: Annotations, labels: NDArray[Any], ignored: NDArray[np.bool_] | None, numbers: Sequence[int]
) -> Annotations:
    """Return annotations with pixels to ignore, whose connected components are counted as regions."""
    if ignored is None:
        return annotations
    import cv2

    pieces = cv2.connectedComponents(ignored.astype(np.uint8), connectivity=8)[0] - 1
    absent = frozenset(map(named_label, set(numbers).difference(np.unique(labels[ignored]).tolist())))
    return replace(annotations, ignore=ignored, ignored=Ignored(regions=pieces, absent=absent))


def _checked(labels: NDArray[Any], place: str) -> NDArray[Any]:
    """Return labels; raises AnnotationError if some are out of range."""
    if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise AnnotationError(
            f"{place} has the label {worst}: labels must be 0 for background, and 1 to 2^63 - 1 for cells"
        )
    return labels
