"""Label images in memory, as an annotation source; and images in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cellprep.formats.annotations.record import Annotations, ImageRecord, digest
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.file import hash_of_pixels
from cellprep.formats.label_images.file import annotations_of_labels


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
        """Return it."""
        return self.array


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

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Take each label as an annotation."""
        place = f"the label image {self.image_id!r}" if self.image_id else "the label image"
        return annotations_of_labels(self.labels, place).without(self.excluded)


class LabelArrays(Source):
    """Arrays of labels.

    Parameters
    ----------
    labels
        One array, (H, W) integers, 0 = background, whose id is an empty text; or arrays by id.
    """

    format = "arrays"

    def __init__(self, labels: Any) -> None:
        super().__init__(Path("labels in memory"))
        by_id = labels if isinstance(labels, Mapping) else {"": labels}
        self._labels = {str(image_id): np.asarray(array) for image_id, array in by_id.items()}
        self.sha256 = digest({image_id: hash_of_pixels(array) for image_id, array in self._labels.items()})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return that no path is a source of this format."""
        return False

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, in their order."""
        return list(self._labels)

    def images(self) -> Iterator[ImageRecord]:
        """Yield each image."""
        for image_id, labels in self._labels.items():
            yield ArrayLabels(image_id=image_id, source=self.name, labels=labels)
