"""Labels in memory as a source: what other programs segmented, without files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord, digest
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.file import hash_of_pixels
from cellprep.formats.label_images.file import annotations_of_labels
from cellprep.store.image_ids import id_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelArray(ImageRecord):
    """The labels of an image.

    Attributes
    ----------
    labels
        (H, W) integers, or floats that are whole numbers; 0 = background.
    """

    labels: NDArray[Any]

    def content(self) -> list[Any]:
        """Return the labels' hash."""
        return [hash_of_pixels(self.labels)]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Take each label as an annotation."""
        return annotations_of_labels(self.labels, f"{self.source}, image {self.image_id},").without(self.excluded)


class LabelArrays(Source):
    """The labels of images in memory.

    Parameters
    ----------
    labels
        Per id of an image its labels, (H, W); 0 = background.
    name
        What they are, for messages.
    """

    format = "label-arrays"
    in_files = False

    def __init__(self, labels: Mapping[str, NDArray[Any]], name: str) -> None:
        super().__init__(Path(name))
        self._labels = labels
        self.sha256 = digest({image_id: hash_of_pixels(array) for image_id, array in labels.items()})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return False: they are nowhere."""
        return False

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, in their order."""
        return list(self._labels)

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, labels in self._labels.items():
            if problem := id_problem(image_id):
                yield FaultyImage(image_id, f"{self.name}: {problem}")
            else:
                yield LabelArray(image_id=image_id, source=self.name, labels=labels)


def as_label_arrays(given: Any) -> dict[str, NDArray[Any]]:
    """Return labels by their images' ids, if that is what is given: an array is that of ``image``; else nothing.

    Examples
    --------
    >>> as_label_arrays([[0, 1]]), as_label_arrays({"a": [[0, 1]]}), as_label_arrays("a")
    ({'image': array([[0, 1]])}, {'a': array([[0, 1]])}, {})
    """
    by_id = given if isinstance(given, Mapping) else {"image": given}
    arrays = {str(image_id): _as_array(labels) for image_id, labels in by_id.items()}
    return {} if any(array.ndim != 2 or array.dtype.kind not in "uibf" for array in arrays.values()) else arrays


def _as_array(labels: Any) -> NDArray[Any]:
    try:
        return np.asarray(labels)
    except ValueError:  # of lists of several lengths
        return np.empty(0)
