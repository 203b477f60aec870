"""The decoded targets of a store as a source of cells, for pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.commands.roundtrip.image import stored_maps
from cellprep.core.decode import energy_to_labels
from cellprep.core.rle import runs_from_labels
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.store import StoredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage(ImageRecord):
    """The instances decoded from an image's targets.

    Attributes
    ----------
    path
        The folder of the image's group.
    decoder
        A name in `cellprep.DECODERS`.
    walls
        Whether the walls are passed to the decoder.
    options
        Values of the decoder's options by name.
    """

    path: Path
    decoder: str
    walls: bool
    options: Mapping[str, float]

    def content(self) -> list[Any]:
        """Return the inputs that determine the instances."""
        return [StoredImage(self.path).metadata.recipe, self.decoder, self.walls, dict(self.options)]

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Decode the targets."""
        labels = energy_to_labels(*stored_maps(StoredImage(self.path), self.walls), self.decoder, self.options)
        runs, values = runs_from_labels(labels)
        return Annotations(runs, tuple(values.tolist()), ("",) * len(values), "").without(self.excluded)


class DecodedStore(CellprepStore):
    """The images of a store, each with the instances decoded from its targets.

    Parameters
    ----------
    path
        The store's folder.
    decoder
        A name in `cellprep.DECODERS`.
    walls
        Whether the walls are passed to the decoder.
    options
        Values of the decoder's options by name.

    Raises
    ------
    StoreError
        If there is no store of a known schema.
    """

    def __init__(self, path: Path, decoder: str, walls: bool, options: Mapping[str, float] | None = None) -> None:
        super().__init__(path)
        self.decoder, self.walls, self.options = decoder, walls, options or {}

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image, then the damaged ones."""
        for image in super().records():
            if isinstance(image, FaultyImage):
                yield image
                continue
            yield DecodedImage(
                image_id=image.image_id,
                source=self.name,
                path=self.path / image.image_id,
                decoder=self.decoder,
                walls=self.walls,
                options=self.options,
            )
