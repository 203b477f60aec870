"""Reader of cellprep's own stores: their labels as annotations, to rebuild them with another recipe.

Overlaps stay resolved, but a store records the area of each cell before, and therefore which one lies on top.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from cellprep.core.rle import Order, Runs, runs_from_bands, with_all_labels
from cellprep.core.targets import Recipe
from cellprep.errors import StoreError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.file import hash_of_pixels
from cellprep.formats.images.pixel_size import Sides
from cellprep.store import Store, StoredImage
from cellprep.store.entries import damaged_images
from cellprep.system.files import read_file


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """Pixels of an image in a store.

    Attributes
    ----------
    image
        The image, of which only metadata have been read.
    """

    image: StoredImage

    def __str__(self) -> str:
        return str(self.image.path / "image")

    def sha256(self) -> str:
        """Return the hash of its pixels, in hex."""
        return hash_of_pixels(self.decode())

    def decode(self, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Read the pixels, as stored."""
        return self.image.latest().read("image")

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres; None if unknown."""
        size = self.image.latest().metadata.pixel_size
        return (float(size), float(size)) if size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabels(ImageRecord):
    """Labels of an image in a store.

    Attributes
    ----------
    image
        The image, of which only metadata have been read.
    """

    knows_pixel_size: ClassVar[bool] = True

    image: StoredImage

    def content(self) -> list[Any]:
        """Return everything that determined the labels."""
        return [self.image.latest().metadata.recipe]

    def known_types(self) -> frozenset[str]:
        """Return the types in its metadata."""
        told = self.image.latest().metadata
        return frozenset(told.categories) | (
            frozenset({""}) if sum(told.cells_of_category) < told.cells else frozenset()
        )

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels and the table of cells."""
        image = self.image.latest()
        table = image.read("cells")
        names = [*image.metadata.categories, ""]  # -1 stands for no category
        return Annotations(
            runs=_runs_of_all(image, len(table)),
            rows=tuple(table[:, 0].tolist()),
            cell_types=tuple(names[index] for index in table[:, 2]),
            cell_type=image.metadata.cell_type or "",
            areas=table[:, 1],
            overlap=image.recipe.overlap,
            ignore=image.read("ignore") != 0 if "ignore" in image.arrays else None,
            pixel_size=image.metadata.pixel_size,
            shrink=image.recipe.shrink,
        ).without(self.excluded)


class CellprepStore(Source):
    """The images of a store.

    Parameters
    ----------
    path
        The store's folder.

    Raises
    ------
    StoreError
        If there is no store, or its schema is not supported.
    """

    format = "cellprep"

    def __init__(self, path: Path, _order: Order | None = None) -> None:
        super().__init__(path)
        self._store = Store(path)
        self._ids = list(self._store)
        self._damaged = damaged_images(path, set(self._ids))
        self.sha256 = hashlib.sha256(read_file(path / "zarr.json")).hexdigest()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a folder is a store."""
        try:
            Store(path)
        except StoreError:
            return False
        return True

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, sorted, followed by those of damaged ones."""
        return [*self._ids, *self._damaged]

    @property
    def has_pixels(self) -> bool:
        """True if the store has images, from its summary or, without one, from its images."""
        if summary := self._store.metadata.summary:
            return "image" in summary.arrays
        return any(isinstance(image, ImageRecord) and image.pixels for image in self.images())

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image, followed by damaged ones."""
        for image_id in self._ids:
            yield self._record(self._store[image_id])
        yield from (FaultyImage(image_id, problem) for image_id, problem in self._damaged.items())

    def _thumbnails(self) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
        return ((image.id, image.thumbnail) for image in map(self._store.__getitem__, self._ids))

    def _record(self, image: StoredImage) -> ImageRecord | FaultyImage:
        try:
            pixels = StoredPixels(image) if "image" in image.arrays else None
        except StoreError as error:
            return FaultyImage(image.id, str(error))
        return StoredLabels(image_id=image.id, source=self.name, image=image, pixels=pixels)


def _runs_of_all(image: StoredImage, count: int) -> Runs:
    """Return the runs of the labels 1 to `count`, including labels without pixels."""
    runs, values = runs_from_bands((image.read("labels", band) for band in image.bands()), image.shape)
    return with_all_labels(runs, values, count)


def recipe_of(source: Source) -> Recipe:
    """Return the recipe of a store, or the default one for other sources."""
    store = Store(source.path) if source.format == "cellprep" else None
    return Recipe() if store is None or store.metadata.recipe is None else store.recipe
