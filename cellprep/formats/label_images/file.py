"""Label images in files: PNG, TIFF, BMP, NPY and NPZ, of any integer type, or of floats that are whole numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cellprep.core.label_images import looks_like_picture, whole_numbers
from cellprep.core.rle import runs_from_labels
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.record import Annotations, ImageRecord
from cellprep.formats.images.file import ImageFile
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
        Whether it is taken for a label image even if its values are those of a picture.
    """

    rows_are_labels: ClassVar[bool] = True

    path: Path
    may_be_picture: bool = False

    def content(self) -> list[Any]:
        """Return the file's hash."""
        return [ImageFile(self.path, self.orientation).sha256()]

    def known_types(self) -> frozenset[str]:
        """Return that no annotation has a type."""
        return frozenset({""})

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels."""
        file = ImageFile(self.path, self.orientation)
        labels = file.decode_labels(beside=self.picture_tag)
        if not self.may_be_picture and labels.ndim == 2 and looks_like_picture(labels) and not _is_our_own(file):
            raise AnnotationError(
                f"{self.path} looks like a picture, by its values: a label image has one number per cell. Name label "
                "images <id>_masks.*, or keep them in masks/ beside images/; masks hold 0 and 1. Where a command has "
                "--format, label-folder takes it as it is"
            )
        return annotations_of_labels(labels, str(self.path)).without(self.excluded)


def _is_our_own(file: ImageFile) -> bool:
    """Return whether the program wrote a file itself: predictions of a bad network crumble like a picture's values."""
    return file_uuid(file.path.stem).encode() in read_file(file.path)


def annotations_of_labels(labels: NDArray[Any], place: str) -> Annotations:
    """Take each label of an image as one annotation, whose row is the label's number.

    Parameters
    ----------
    labels
        (H, W) integers, or floats that are whole numbers; 0 = background.
    place
        Where they come from, for messages.

    Raises
    ------
    AnnotationError
        If they are no label image.
    """
    if labels.ndim != 2 or not labels.size:
        raise AnnotationError(
            f"{place} has the shape {labels.shape}: a label image has one number per pixel, (height, width)"
        )
    try:
        labels = whole_numbers(labels)
    except ValueError as error:
        raise AnnotationError(f"{place} {error}") from None
    if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise AnnotationError(f"{place} holds the label {worst}: labels are 0 for background, and 1 to 2^63 - 1")
    runs, values = runs_from_labels(labels)
    return Annotations(runs, tuple(values.tolist()), ("",) * len(runs), "")
