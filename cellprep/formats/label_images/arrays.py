"""Label images in memory, as an annotation source."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord, digest
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.file import hash_of_pixels
from cellprep.formats.label_images.file import annotations_of_labels
from cellprep.store.image_ids import id_problem


@dataclass(frozen=True, slots=True)
class ArrayPixels:
    """An image in memory.

    Attributes
    ----------
    array
        (H, W), or (C, H, W) for several channels.
    """

    array: NDArray[Any]

    def __str__(self) -> str:
        return "the image"

    def sha256(self) -> str:
        """Return the hash of its values, in hex."""
        return hash_of_pixels(self.array)

    def decode(self, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Return the array."""
        return self.array

    def sides(self) -> None:
        """Return None, as arrays have no pixel size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLabels(ImageRecord):
    """A label image in memory.

    Attributes
    ----------
    labels
        (H, W) integers, 0 = background.
    """

    rows_are_labels: ClassVar[bool] = True

    labels: NDArray[Any]

    def content(self) -> list[Any]:
        """Return the hash of its values."""
        return [hash_of_pixels(self.labels)]

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Return each label as an annotation."""
        place = f"the label image {self.image_id!r}" if self.image_id else "the label image"
        return annotations_of_labels(self.labels, place, self.partial.ignore_labels).without(self.excluded)


class LabelArrays(Source):
    """Arrays of labels.

    Parameters
    ----------
    labels
        Label images by id: (H, W) integers, 0 = background.
    """

    format = "arrays"
    in_files = False
    has_numbers = True

    def __init__(self, labels: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(Path("labels in memory"))
        self._labels = labels
        self.sha256 = digest({image_id: hash_of_pixels(array) for image_id, array in self._labels.items()})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return False, as no path is a source of this format."""
        return False

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, in order."""
        return list(self._labels)

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, labels in self._labels.items():
            if problem := id_problem(image_id):
                yield FaultyImage(image_id, problem)
            else:
                yield ArrayLabels(image_id=image_id, source=self.name, labels=labels)


def by_id(arrays: Mapping[Any, Any]) -> dict[str, Any]:
    """Return arrays by their ids, converted to strings.

    Raises
    ------
    UsageError
        If two ids become the same string.
    """
    texts = {str(image_id): array for image_id, array in arrays.items()}
    if len(texts) < len(arrays):
        twice = next(text for text in texts if sum(str(image_id) == text for image_id in arrays) > 1)
        raise UsageError(f"two images have the id {twice!r} after conversion to a string: give them different ids")
    return texts


def as_label_arrays(given: Any) -> dict[str, NDArray[Any]]:
    """Return label images by id, or an empty dict for other arguments; a single array gets the id ``image``.

    Examples
    --------
    >>> as_label_arrays([[0, 1]]), as_label_arrays({"a": [[0, 1]]}), as_label_arrays("a")
    ({'image': array([[0, 1]])}, {'a': array([[0, 1]])}, {})
    """
    try:
        given = by_id(given if isinstance(given, Mapping) else {"image": given})
        arrays = {image_id: np.asarray(array) for image_id, array in given.items()}
    except ValueError:  # ragged lists
        return {}
    return arrays if all(array.ndim == 2 and array.dtype.kind in "uibf" for array in arrays.values()) else {}
