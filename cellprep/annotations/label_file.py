"""Label images in files: PNG, TIFF and NPY, of any integer type."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.annotations.record import Annotations, ImageRecord
from cellprep.errors import AnnotationError, ImageFileError
from cellprep.image_formats import opened
from cellprep.images import ImageFile
from cellprep.rle import runs_from_labels

__all__ = ["LABEL_FORMATS", "LabelFileImage", "annotations_of_labels", "read_labels"]

#: The ends of the names of label files.
LABEL_FORMATS = (".npy", ".png", ".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFileImage(ImageRecord):
    """A label image in a file.

    Attributes
    ----------
    path
        The file.
    """

    path: Path

    def content(self) -> list[Any]:
        """Return the file's hash."""
        return [ImageFile(self.path).sha256()]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels."""
        return annotations_of_labels(read_labels(self.path), str(self.path)).without(self.excluded)


def annotations_of_labels(labels: NDArray[Any], place: str) -> Annotations:
    """Take each label of an image as one annotation, whose row is the label's number.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    place
        Where they come from, for messages.

    Raises
    ------
    AnnotationError
        If they are no label image.
    """
    if labels.dtype.kind not in "iu":
        raise AnnotationError(f"{place} holds {labels.dtype} values: label images hold integers")
    if labels.ndim != 2 or not labels.size:
        raise AnnotationError(
            f"{place} has the shape {labels.shape}: a label image has one number per pixel, (height, width)"
        )
    if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise AnnotationError(f"{place} holds the label {worst}: labels are 0 for background, and 1 to 2^63 - 1")
    runs, values = runs_from_labels(labels)
    return Annotations(runs, tuple(values.tolist()), ("",) * len(runs), "")


def read_labels(path: Path) -> NDArray[Any]:
    """Read an array of labels from a file; whether they are labels is for `annotations_of_labels` to say."""
    suffix, file = path.suffix.lower(), ImageFile(path)
    if suffix not in LABEL_FORMATS:
        raise ImageFileError(f"{path} is no label image: its name must end in {', '.join(LABEL_FORMATS)}")
    try:
        if suffix == ".npy":
            return np.lib.format.read_array(io.BytesIO(file.read()))
        pixels = file.decode()
        numbers = _palette_numbers(file.read()) if suffix == ".png" else None
    except ImageFileError:
        raise
    except Exception as error:
        raise ImageFileError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    return pixels if numbers is None else numbers


def _palette_numbers(content: bytes) -> NDArray[Any] | None:
    """Return the numbers that stand for colours in a PNG with a palette: with labels, they are what is meant."""
    with opened(content, "PNG") as image:
        return np.asarray(image) if image.mode == "P" else None
