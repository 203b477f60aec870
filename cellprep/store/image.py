"""One image of a store: its arrays and metadata."""

import os
from collections.abc import Iterator
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import TARGETS, Recipe, how_to_make
from cellprep.core.targets.by_window import CellsOfLabels, TargetsByWindow
from cellprep.core.thumbnails import draw_thumbnail
from cellprep.errors import NotInStoreError, RecipeError, StoreError, UsageError
from cellprep.store.arrays import array_form, array_path, checked_form, read_array
from cellprep.store.documents import chunk_shapes, is_huge, spatial_axis, windows_of
from cellprep.store.metadata import ImageAttributes, ImageMetadata, attributes_in
from cellprep.store.replacing import identity, patiently
from cellprep.system.files import read_file
from cellprep.system.places import as_place, is_remote
from cellprep.text.notebook import Row, notebook_html, shown_in_time
from cellprep.text.wording import count, described, did_you_mean, printable


class StoredImage:
    """One image of a store. Its arrays are accessed by name, such as ``image["energy"]``.

    Parameters
    ----------
    path
        Folder of the image.

    Raises
    ------
    StoreError
        If the folder does not contain a complete image.

    Attributes
    ----------
    id : str
        Name of the image.
    attributes : dict
        Metadata of the image: ``recipe``, ``shape``, ``arrays``, ``cells``, ``hidden``,
        ``cell_type``, ``categories``. Reading a value that is not valid raises StoreError.
        Attributes that other Zarr tools added under ``cellprep`` are included.
    """

    def __init__(self, path: Path | str, _document: bytes | None = None) -> None:
        self.path = path = as_place(path)
        self.id = path.name
        self._identity = identity(path)
        self._file = _file_of(path)  # before reading, so that a change in between is noticed
        self._claim_holds = False
        self._forms: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        told = read_attributes(path) if _document is None else attributes_in(_document)
        self.attributes = ImageAttributes(path, told)
        if not self.attributes.get("complete"):
            raise StoreError(f"{path} is not a complete image of a cellprep store")

    def __repr__(self) -> str:
        try:
            about = self.metadata
        except StoreError:
            return f"<StoredImage {self.id!r}: damaged>"
        size, names = " x ".join(map(str, about.shape)), ", ".join(map(printable, about.arrays))
        return f"<StoredImage {self.id!r}: {size} pixels, {count(about.cells, 'cell')}; {names}>"

    def _repr_html_(self) -> str:
        """Return the notebook view: a table and a thumbnail with cell outlines."""
        title = f"Image {printable(self.id)}"
        try:
            about, recipe = self.metadata, self.recipe
        except StoreError as error:
            return notebook_html(title, [("damaged", str(error))])
        rows: list[Row] = [
            ("size", f"{' x '.join(map(str, about.shape))} pixels"),
            ("cells", f"{about.cells:,}" + (f" ({len(about.hidden):,} occluded by others)" if about.hidden else "")),
            ("cell type", printable(about.cell_type) if about.cell_type else "none"),
            ("arrays", ", ".join(map(printable, about.arrays))),
            *([("computed on reading", ", ".join(self.computed))] if self.computed else []),
            ("recipe", repr(recipe)),
        ]
        return notebook_html(title, rows, shown_in_time([(self.id, self.thumbnail)]))

    def thumbnail(self) -> bytes | None:
        """Return a PNG thumbnail with cell outlines; None if the image is huge, as this would be slow."""
        if self.is_huge:
            return None
        return draw_thumbnail(self.read("image") if "image" in self.arrays else None, self.read("labels"))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array by name, as `read` does."""
        return self.read(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """Return `arrays` and `computed`, so that ``dict(image)`` reads them all."""
        return [*self.arrays, *self.computed]

    @property
    def cell_type(self) -> str | None:
        """The most frequent type of its cells; None if the source has no types."""
        return self.metadata.cell_type

    @cached_property
    def metadata(self) -> ImageMetadata:
        """The validated metadata of the image; raises StoreError if they are invalid."""
        try:
            return ImageMetadata.of(self.attributes)
        except StoreError as error:
            raise StoreError(f"{self.path} is damaged: {error}") from None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.metadata.shape
        # A few bytes could claim a size that takes very long to process.
        if not self._claim_holds and is_huge((height, width)):
            found, _ = self.form("labels")
            if found != (height, width):
                raise StoreError(
                    f"{self.path} is damaged: its metadata say {height} x {width} pixels, its labels have {found}"
                )
            self._claim_holds = True
        return height, width

    def is_as_opened(self) -> bool:
        """Return whether the image is unchanged, or was rebuilt from the same input with the same recipe."""
        found = identity(self.path)
        if found != self._identity and read_attributes(self.path).get("recipe") == self.attributes.get("recipe"):
            self._identity = found
        return found == self._identity

    def is_as_read(self) -> bool:
        """Return whether the metadata file is unchanged; always True in an object store, which would need a request."""
        return _file_of(self.path) == self._file and (self._file is not None or is_remote(self.path))

    def absolute(self) -> "StoredImage":
        """Return the image with an absolute path, independent of a process's working directory."""
        image = copy(self)
        image.path = self.path.absolute()
        return image

    def latest(self) -> "StoredImage":
        """Return the image, read again if its metadata file was replaced."""
        return self if self.is_as_read() else StoredImage(self.path)

    @property
    def recipe(self) -> Recipe:
        """The recipe of its targets. Raises StoreError if the stored recipe is invalid."""
        try:
            return Recipe.from_dict(self.metadata.options)
        except (RecipeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path} is damaged: its `options` are not a valid recipe: {error}") from error

    @property
    def recipe_hash(self) -> str:
        """SHA-256, in hex, of everything that determines its arrays: recipe, annotations and pixels."""
        return self.metadata.recipe

    @property
    def is_huge(self) -> bool:
        """True if windows of its arrays can be read separately."""
        return is_huge(self.shape)

    def windows(self) -> Iterator[tuple[slice, slice]]:
        """Yield windows of limited size that cover the image: a single one, unless it is huge."""
        return windows_of(self.shape)

    def bands(self) -> Iterator[tuple[slice, slice]]:
        """Yield windows as wide as the image, from top to bottom: one, or one per row of chunks if it is huge."""
        height, width = self.shape
        _, chunk = chunk_shapes("labels", self.shape)
        rows = chunk[0] if chunk else max(1, height)
        for top in range(0, height, rows):
            yield slice(top, min(top + rows, height)), slice(0, width)

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays in the store; `read` takes these and those of `computed`."""
        return self.metadata.arrays

    @property
    def computed(self) -> list[str]:
        """Names of the targets that are not stored; `read` computes them from the labels."""
        return self.metadata.computed or []

    @cached_property
    def _cells(self) -> CellsOfLabels:
        return CellsOfLabels(partial(self.read, "labels"), self.shape, self.recipe.overlap, self.read("cells")[:, 1])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cells"}

    def read(self, name: str, window: tuple[slice, slice] | None = None) -> NDArray[Any]:
        """Read an array, or a window of it.

        Parameters
        ----------
        name
            ``image``, ``labels``, ``cells`` or a target, such as ``energy``.
        window
            Rows and columns of an image or a target, such as ``np.s_[:64, :64]``; by default all. Only the chunks in
            the window are read if the image is larger than 4096 x 4096 pixels, otherwise the whole array.

        Raises
        ------
        NotInStoreError
            If there is no such array.
        StoreError
            If the array is damaged.
        UsageError
            If the window is invalid.
        """
        if window is not None and not (
            isinstance(window, tuple) and len(window) == 2 and all(isinstance(part, slice) for part in window)
        ):
            raise UsageError(f"window must be two slices, of rows and columns, such as np.s_[:64, :64], not {window!r}")
        if name in self.computed:
            return self._compute(name, window)
        return patiently(self.path, lambda: self._read(self._place(name), name, window))

    def _compute(self, name: str, window: tuple[slice, slice] | None) -> NDArray[Any]:
        part = _limited(window or (slice(None), slice(None)), self.shape)
        return TargetsByWindow(self._cells, self.recipe, [name]).at(*part)[name]

    def _read(self, place: Path, name: str, window: tuple[slice, slice] | None) -> NDArray[Any]:
        height, width = self.metadata.shape
        if window is None or (window == (slice(0, height), slice(0, width)) and not self.is_huge):
            array = read_array(place, name)
            if name != "cells" and not self.is_huge:  # the claim of a huge image was checked before
                self._check_claim(name, array.shape)
            return array
        shape, _ = array_form(place, name)
        down = spatial_axis(name, shape)
        region = [slice(0, size) for size in shape]
        region[down : down + 2] = _limited(window, shape[down : down + 2])
        return read_array(place, name, tuple(region))

    def _check_claim(self, name: str, shape: tuple[int, ...]) -> None:
        down = spatial_axis(name, shape)
        if (found := shape[down : down + 2]) != self.shape:
            if not self.is_as_read():
                raise StoreError(f"{self.path} was replaced since it was opened: open it again")
            claimed = " x ".join(map(str, self.shape))
            raise StoreError(f"{self.path} is damaged: its metadata say {claimed} pixels, its {name} has {found}")

    def form(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return the shape and dtype of an array without reading it; raises as `read` does."""
        if name in self.computed:
            target = self.recipe.made[name]
            return target.shape(*self.shape, self.recipe), np.dtype(target.dtype)
        if name not in self._forms:  # for a huge image, this lists all files
            self._forms[name] = patiently(self.path, lambda: checked_form(self._place(name), name))
        return self._forms[name]

    def _place(self, name: str) -> Path:
        if name not in self:
            question = did_you_mean(name, self.keys())
            names = f"{f'{question} It' if question else 'it'} has {', '.join(self.keys())}"
            if name in TARGETS and (option := how_to_make([name], self.recipe)):
                names = f"build it with {option}"
            is_text = isinstance(name, str)
            problem = (
                f"has no array {name[:200]!r}" if is_text else f"expects the name of an array, not {described(name)}"
            )
            raise NotInStoreError(f"{self.path} {problem}: {names}")
        return self.path / array_path(name)


def _limited(window: tuple[slice, slice], shape: tuple[int, ...]) -> list[slice]:
    """Return slices with both ends, clipped to an array of the given rows and columns."""
    ends = [part.indices(size)[:2] for part, size in zip(window, shape, strict=True)]
    return [slice(start, max(start, stop)) for start, stop in ends]


def _file_of(image: Path) -> tuple[int, ...] | None:
    """Return an identifier of an image's current metadata file; None if there is no file or no way to know."""
    if is_remote(image):
        return None
    try:
        found = os.stat(image / "zarr.json")  # noqa: PTH116 - fast
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def read_attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes that cellprep wrote to a group; empty if the group is not cellprep's."""
    try:
        return attributes_in(patiently(folder, lambda: read_file(folder / "zarr.json")))
    except OSError:
        return {}
