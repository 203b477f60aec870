"""Writing predictions, so that the output is either complete or absent."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep._version import __version__
from cellprep.errors import UsageError
from cellprep.formats.images.file import Pixels
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.names import IMAGE_CLASSES, RECORD
from cellprep.learn.prediction.figure import draw_vectors
from cellprep.learn.prediction.maps import PredictedMaps
from cellprep.learn.prediction.options import OutputOptions
from cellprep.learn.prediction.outputs import Prediction, outputs_in
from cellprep.learn.prediction.overlay import draw_overlay
from cellprep.learn.prediction.scaling import Scale, ScaleReport
from cellprep.store.plain import write_group
from cellprep.system.aside import publish, written_aside

#: Default path of maps in the folder of vectors.
MAPS_OF_VECTORS = "maps.zarr"

#: The columns of the table of images, before a number of cells for each class.
IMAGE_COLUMNS = ("image", "cells", "left_out", "of_other_classes", "class", "share")

_OVERLAYS = "overlays"
_MAPS = "cellprep-maps"  # the key of the groups' attributes


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoded results of one image.

    Attributes
    ----------
    id
        The image.
    parts
        Its part of each output.
    picture
        The bytes of its picture, if any.
    maps
        Its maps, if they are written.
    scale
        The scale at which networks saw it, which is that of its maps; None for its own.
    """

    id: str
    parts: list[Any]
    picture: bytes | None
    maps: PredictedMaps | None
    scale: Scale | None = None


class PredictionWriter:
    """Writes images one by one to temporary folders; `publish` moves them into place.

    Parameters
    ----------
    out, maps
        Final paths; None for no maps.
    aside, maps_aside
        Temporary paths.
    options
        The options of the outputs.
    vectors
        Whether to write vectors without instances.
    planes
        The planes that were read of the images, which are recorded with the maps.
    types
        The names of all classes that instances may have.
    """

    def __init__(
        self,
        out: Path,
        aside: Path,
        maps_aside: Path | None,
        options: OutputOptions,
        *,
        vectors: bool = False,
        planes: StackOptions | None = None,
        types: Sequence[str] = (),
    ) -> None:
        self.types = tuple(types)
        self.options = options
        self._out = out
        self._aside = aside
        self._maps_aside = maps_aside
        self._pictures = aside / _OVERLAYS if options.overlay else aside
        self._pictures.mkdir(parents=True)
        if maps_aside:
            write_group(
                maps_aside, {}, {_MAPS: {"version": __version__, **({"planes": planes.to_dict()} if planes else {})}}
            )
        self._outputs = [] if vectors else outputs_in(aside, options.to, types)

    def encode(
        self, prediction: Prediction, maps: PredictedMaps, image: NDArray[Any] | None, scale: Scale | None = None
    ) -> Encoded:
        """Encode the instances of an image, without writing them. An overlay needs the (C, H, W) image itself."""
        classes = None if prediction.types is None else [self.types.index(name) for name in prediction.types]
        picture = None if image is None else _png(draw_overlay(image, prediction.labels, classes, self.types))
        parts = [output.encode(prediction) for output in self._outputs]
        return Encoded(prediction.id, parts, picture, maps if self._maps_aside else None, scale)

    def encode_vectors(
        self, image_id: str, maps: PredictedMaps, image: Any | None, scale: Scale | None = None
    ) -> Encoded:
        """Encode the vectors of an image; a picture needs the (C, H, W) image at the networks' scale."""
        picture = None if image is None else draw_vectors(image_id, image, maps)
        return Encoded(image_id, [], picture, maps, scale)

    def write(self, encoded: Encoded) -> None:
        """Write an image."""
        for output, part in zip(self._outputs, encoded.parts, strict=True):
            output.add(part)
        if encoded.picture:
            (self._pictures / f"{encoded.id}.png").write_bytes(encoded.picture)
        if encoded.maps and self._maps_aside:
            told: dict[str, Any] = {"shape": encoded.maps.shape}
            told |= {"classes": encoded.maps.types} if encoded.maps.types else {}
            told |= {"image_shape": encoded.scale.shape, "scale": encoded.scale.factors} if encoded.scale else {}
            write_group(self._maps_aside / encoded.id, _arrays(encoded.maps), {_MAPS: told})

    def write_record(self, pixels: Mapping[str, Pixels], scales: ScaleReport) -> None:
        """Write the planes that were read of images, and the scales of images; no file if there are neither.

        Estimated diameters of cells are written, too.

        Parameters
        ----------
        pixels
            The images by their ids.
        scales
            Their scales.
        """
        images: dict[str, dict[str, Any]] = {}
        for image_id, one in pixels.items():
            planes, scale = getattr(one, "planes", None), scales.scaled.get(image_id)
            told: dict[str, Any] = {"planes": planes.to_dict()} if planes else {}
            told |= {"scale": scale.factors, "shape": scale.shape, "seen": scale.seen} if scale else {}
            diameter = scales.of_cells.found.get(image_id) if scales.of_cells else None
            told |= {"diameter": diameter} if diameter else {}
            images |= {image_id: told} if told else {}
        if images:
            learned = {} if scales.learned is None else {"pixel_size_of_weights": scales.learned}
            document = {"version": __version__, **learned, "images": images}
            (self._aside / RECORD).write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")

    def write_images(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the table of images with their classes; nothing if the networks have no classes."""
        if self.types:
            text = io.StringIO()
            columns = [*IMAGE_COLUMNS, *(f"cells_{name}" for name in self.types)]
            writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            (self._aside / IMAGE_CLASSES).write_text(text.getvalue(), encoding="utf-8")

    def publish(self) -> None:
        """Move the output into place."""
        for output in self._outputs:
            output.finish()
        publish(self._aside, self._out)
        if self._maps_aside and self.options.maps:
            publish(self._maps_aside, Path(self.options.maps))


@contextmanager
def prediction_writer(
    out: Path,
    options: OutputOptions,
    *,
    vectors: bool = False,
    planes: StackOptions | None = None,
    types: Sequence[str] = (),
) -> Iterator[PredictionWriter]:
    """Provide a writer; its files are removed at the end unless they were published.

    For vectors without instances, maps are always written, by default inside `out`.

    Raises
    ------
    UsageError
        If one of the paths is inside the other.
    OutputError
        If one of the paths exists and is not an empty folder, or if the disk is full.
    """
    maps = Path(options.maps) if options.maps else None
    places = [place.resolve() for place in (out, maps) if place]
    if len(places) == 2 and (places[0].is_relative_to(places[1]) or places[1].is_relative_to(places[0])):
        raise UsageError(f"one of --maps {maps} and --out {out} is inside the other: choose separate paths")
    with ExitStack() as stack:
        aside = stack.enter_context(written_aside(out))
        inside = aside / MAPS_OF_VECTORS if vectors else None
        maps_aside = stack.enter_context(written_aside(maps)) if maps else inside
        yield PredictionWriter(out, aside, maps_aside, options, vectors=vectors, planes=planes, types=types)


def _arrays(maps: PredictedMaps) -> dict[str, NDArray[Any]]:
    """Return the maps as in a store, except for the bytes of vectors."""
    assert maps.uvec is not None
    semseg = np.stack([maps.classes == number for number in range(3)], axis=-1).view(np.uint8)
    arrays: dict[str, NDArray[Any]] = {"semseg": semseg, "uvec": maps.uvec}
    if maps.energy is not None:
        arrays["energy"] = maps.energy
    if maps.type_probabilities is not None:
        arrays["class_probabilities"] = np.moveaxis(maps.type_probabilities, 0, -1)
    return arrays


def _png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
