"""Writing predictions in the formats of `cellprep.formats.writers`, all formats of a run in one folder."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.formats.annotations.content import Content, Listed, Picture, Whole
from cellprep.formats.annotations.record import most_common
from cellprep.formats.images.file import ImageFile, Pixels
from cellprep.formats.writers import EXPORTERS, Exporter, OneFile
from cellprep.store.image_ids import composed
from cellprep.system.output import write_files


@dataclass(frozen=True, slots=True)
class Prediction:
    """The instances of one image.

    Attributes
    ----------
    id
        The image.
    labels
        (H, W) uint16 or uint32: 0 = background, instances 1 to n.
    scores
        (n,): confidence of each instance, from 0 to 1; None unless a format needs it.
    pixels
        The image itself.
    pixel_size
        Side of a pixel in micrometres, if known.
    types
        The name of each instance's class, in the order of the labels; None if the networks have no classes.
    type_scores
        (n,): mean probability of that class over the instance's pixels, from 0 to 1; None without classes.
    """

    id: str
    labels: NDArray[Any]
    scores: NDArray[np.float64] | None
    pixels: Pixels | None = None
    pixel_size: float | None = None
    types: Sequence[str] | None = None
    type_scores: NDArray[np.float64] | None = None

    @property
    def content(self) -> Content:
        """The content for the writers."""
        count = int(self.labels.max())
        types = [""] * count if self.types is None else [*self.types]
        place = str(self.pixels.path.absolute()) if isinstance(self.pixels, ImageFile) else ""
        return Content(
            self.id,
            self.labels,
            [*range(1, count + 1)],
            types,
            most_common(types),
            None,
            self.pixel_size,
            (),
            scores=None if self.scores is None else self.scores.tolist(),
            type_scores=None if self.type_scores is None else self.type_scores.tolist(),
            picture=Picture(place),
        )

    @property
    def listed(self) -> Listed:
        """The image's entry in lists of images."""
        path = self.pixels.path if isinstance(self.pixels, ImageFile) else None
        has_own_name = path is not None and composed(path.stem) == self.id
        name = path.name if path and has_own_name else f"{self.id}{path.suffix}" if path else ""
        height, width = self.labels.shape
        return Listed(self.id, (height, width), name)


class Output:
    """Writes predictions in a format into a folder.

    Parameters
    ----------
    name
        The format, a name in `EXPORTERS`.
    folder
        The folder.
    types
        The names of all classes that instances may have.
    """

    def __init__(self, name: str, folder: Path, types: Sequence[str] = ()) -> None:
        self._format = format_of_predictions(name)
        self._whole = Whole(tuple(sorted(types)) or ("",), "predicted")
        self._folder = folder
        self._listed: list[Listed] = []
        self._parts: IO[str] | None = None

    def encode(self, prediction: Prediction) -> tuple[Listed, Any]:
        """Return an image's part of the output, without writing it."""
        content = replace(prediction.content, types=self._whole.types)
        if self._format.needs_pictures and prediction.pixels:
            content = replace(content, picture=Picture(pixels=prediction.pixels, shape=content.shape))
        return prediction.listed, self._format.encode(content)

    def add(self, encoded: tuple[Listed, Any]) -> None:
        """Add the part of an image."""
        listed, part = encoded
        if isinstance(self._format, OneFile):  # the start of its file may depend on all images
            self._folder.mkdir(parents=True, exist_ok=True)
            self._parts = self._parts or tempfile.TemporaryFile("w+", encoding="utf-8", dir=self._folder)  # noqa: SIM115
            self._parts.write(json.dumps([listed.id, listed.shape, listed.file_name, part]) + "\n")
            return
        write_files(self._folder, part)
        self._listed.append(listed)

    def finish(self) -> None:
        """Write the rest of the output after all images have been added."""
        if not isinstance(self._format, OneFile):
            write_files(self._folder, self._format.finish(self._whole, self._listed))
        elif self._parts:
            with (self._folder / self._format.name).open("w", encoding="utf-8", newline="") as file:
                file.writelines(self._format.join(self._whole, _read_again(self._parts)))
            self._parts.close()


def outputs_in(folder: Path, names: Sequence[str], types: Sequence[str] = ()) -> list[Output]:
    """Return the outputs for some formats in a folder; `types` are the classes that instances may have.

    The files of several formats must not be mistaken for each other: except for label images, each format with one file
    per image then has its own folder.
    """
    alone = [name for name in names if name == "label-tiff" or isinstance(EXPORTERS[name], OneFile) or len(names) == 1]
    return [Output(name, folder if name in alone else folder / name, types) for name in names]


def format_of_predictions(name: str) -> Exporter:
    """Return the variant of a format that is used for predictions."""
    known = EXPORTERS[name]
    return (known.of_predictions or known) if isinstance(known, OneFile) else known


def _read_again(file: IO[str]) -> Iterator[tuple[Listed, Any]]:
    file.seek(0)
    for line in file:
        image_id, shape, file_name, part = json.loads(line)
        yield Listed(image_id, tuple(shape), file_name), part
