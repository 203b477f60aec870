"""The output formats of prediction: one class each, whose results `cellprep evaluate` reads."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import encode_labels
from cellprep.formats.annotations.content import Content
from cellprep.formats.coco import writer as coco
from cellprep.formats.label_images import writer as label_tiff


@dataclass(frozen=True, slots=True)
class Prediction:
    """The instances of one image.

    Attributes
    ----------
    id
        The image.
    labels
        (H, W) uint16 or uint32: 0 = background, then 1 to n.
    scores
        (n,) how sure the networks are of each, from 0 to 1; None unless a format needs it.
    """

    id: str
    labels: NDArray[Any]
    scores: NDArray[np.float64] | None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        height, width = self.labels.shape
        return height, width

    @property
    def content(self) -> Content:
        """The image as the writers of exports take it."""
        count = int(self.labels.max())
        return Content(self.id, self.labels, [*range(1, count + 1)], [""] * count, "", None, None, ())


class Output(Protocol):
    """Writes predictions into a folder.

    Attributes
    ----------
    needs_scores
        Whether it writes how sure the networks are.
    """

    needs_scores: bool

    def __init__(self, folder: Path) -> None: ...

    def encode(self, prediction: Prediction) -> Any:
        """Return an image's part of the output; nothing is written as yet."""

    def add(self, image_id: str, part: Any) -> None:
        """Take the part of an image."""

    def finish(self) -> None:
        """Write what is left to write when all images have been taken."""


class LabelTIFFs:
    """A label image for each image: ``<id>.tif``."""

    needs_scores = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def encode(self, prediction: Prediction) -> bytes:
        """Return the bytes of a file."""
        return label_tiff.encode(prediction.content)

    def add(self, image_id: str, part: bytes) -> None:
        """Write a file."""
        (self._folder / f"{image_id}.tif").write_bytes(part)

    def finish(self) -> None:
        """All is written."""


class Submission:
    """The submission to Kaggle's Sartorius competition: ``submission.csv``, a row ``id,predicted`` per instance."""

    needs_scores = False

    def __init__(self, folder: Path) -> None:
        self._path = folder / "submission.csv"
        self._write([("id", "predicted")])

    def encode(self, prediction: Prediction) -> list[str]:
        """Return the masks; a single empty one if there are no instances."""
        return encode_labels(prediction.labels) or [""]

    def add(self, image_id: str, part: list[str]) -> None:
        """Write an image's rows."""
        self._write((image_id, text) for text in part)

    def finish(self) -> None:
        """All is written."""

    def _write(self, rows: Iterable[tuple[str, str]]) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)


@dataclass(frozen=True, slots=True)
class _Listed:
    id: str
    shape: tuple[int, int]


class COCODocument:
    """COCO's JSON of instances, whose annotations have scores: ``coco.json``."""

    needs_scores = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "coco.json"
        self._parts: list[tuple[_Listed, list[dict[str, Any]]]] = []

    def encode(self, prediction: Prediction) -> tuple[tuple[int, int], list[dict[str, Any]]]:
        """Return the image's shape and annotations."""
        annotations = coco.encode(prediction.content)
        assert prediction.scores is not None
        scores = prediction.scores.round(4).tolist()
        return prediction.shape, [{**one, "score": score} for one, score in zip(annotations, scores, strict=True)]

    def add(self, image_id: str, part: tuple[tuple[int, int], list[dict[str, Any]]]) -> None:
        """Keep them."""
        shape, annotations = part
        self._parts.append((_Listed(image_id, shape), annotations))

    def finish(self) -> None:
        """Write the file."""
        with self._path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(coco.document([coco.UNTYPED], self._parts, "predicted"))


#: The formats by name, the default one first.
OUTPUTS: dict[str, type[Output]] = {
    "label-tiff": LabelTIFFs,
    "kaggle-csv": Submission,
    "coco": COCODocument,
}
