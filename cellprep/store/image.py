"""One image of a store: its arrays by name, and its metadata."""

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
    """One image of a store: its arrays by name, as ``image["energy"]``, and what the store says of it.

    Parameters
    ----------
    path
        Its folder.

    Raises
    ------
    StoreError
        If the folder holds no complete image.

    Attributes
    ----------
    id : str
        The image's name.
    attributes : dict
        What the store says of it: ``recipe``, ``shape``, ``arrays``, ``cells``, ``hidden``,
        ``cell_type``, ``categories``. A value that is not as cellprep writes it raises StoreError when asked for.
        What other Zarr tools added under ``cellprep`` is there, too.
    """

    def __init__(self, path: Path | str, _document: bytes | None = None) -> None:
        self.path = path = as_place(path)
        self.id = path.name
        self._identity = identity(path)
        self._file = _file_of(path)  # before it is read: what comes in between is noticed
        self._claim_holds = False
        self._forms: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        told = read_attributes(path) if _document is None else attributes_in(_document)
        self.attributes = ImageAttributes(path, told)
        if not self.attributes.get("complete"):
            raise StoreError(f"{path} is no complete image of a cellprep store")

    def __repr__(self) -> str:
        try:
            about = self.metadata
        except StoreError:
            return f"<StoredImage {self.id!r}: damaged>"
        size, names = " x ".join(map(str, about.shape)), ", ".join(map(printable, about.arrays))
        return f"<StoredImage {self.id!r}: {size} pixels, {count(about.cells, 'cell')}; {names}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: a table, and the image in small with its cells outlined."""
        title = f"Image {printable(self.id)}"
        try:
            about, recipe = self.metadata, self.recipe
        except StoreError as error:
            return notebook_html(title, [("damaged", str(error))])
        rows: list[Row] = [
            ("size", f"{' x '.join(map(str, about.shape))} pixels"),
            ("cells", f"{about.cells:,}" + (f" ({len(about.hidden):,} hidden by others)" if about.hidden else "")),
            ("cell type", printable(about.cell_type) if about.cell_type else "none"),
            ("arrays", ", ".join(map(printable, about.arrays))),
            *([("computed on reading", ", ".join(self.computed))] if self.computed else []),
            ("recipe", repr(recipe)),
        ]
        return notebook_html(title, rows, shown_in_time([(self.id, self.thumbnail)]))

    def thumbnail(self) -> bytes | None:
        """Return the image in small with its cells outlined, a PNG; None of a huge one, which would take long."""
        if self.is_huge:
            return None
        return draw_thumbnail(self.read("image") if "image" in self.arrays else None, self.read("labels"))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array by its name, as `read` does."""
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
        """The type of most of its cells; None if the source has none."""
        return self.metadata.cell_type

    @cached_property
    def metadata(self) -> ImageMetadata:
        """The metadata of the image, checked; StoreError if they are not as cellprep writes them."""
        try:
            return ImageMetadata.of(self.attributes)
        except StoreError as error:
            raise StoreError(f"{self.path} is damaged: {error}") from None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        height, width = self.metadata.shape
        if not self._claim_holds and is_huge((height, width)):  # much would be done for a claim of a few bytes
            found, _ = self.form("labels")
            if found != (height, width):
                raise StoreError(f"{self.path} is damaged: it claims {height} x {width} pixels, its labels {found}")
            self._claim_holds = True
        return height, width

    def is_as_opened(self) -> bool:
        """Return whether it is still what it was, or was built anew from the same and by the same recipe."""
        found = identity(self.path)
        if found != self._identity and read_attributes(self.path).get("recipe") == self.attributes.get("recipe"):
            self._identity = found
        return found == self._identity

    def is_as_read(self) -> bool:
        """Return whether its metadata are the file that was read; of an object store nobody knows without reading."""
        return _file_of(self.path) == self._file and (self._file is not None or is_remote(self.path))

    def absolute(self) -> "StoredImage":
        """Return it by a path that does not depend on the folder that a process works in."""
        image = copy(self)
        image.path = self.path.absolute()
        return image

    def latest(self) -> "StoredImage":
        """Return it, or what its metadata file has been exchanged for since it was read."""
        return self if self.is_as_read() else StoredImage(self.path)

    @property
    def recipe(self) -> Recipe:
        """The recipe that its targets were made by: its options. StoreError if what it says of that is none."""
        try:
            return Recipe.from_dict(self.metadata.options)
        except (RecipeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path} is damaged: its `options` are no recipe: {error}") from error

    @property
    def recipe_hash(self) -> str:
        """A SHA-256, in hex, of all that its arrays follow from: the recipe, its annotations and its pixels."""
        return self.metadata.recipe

    @property
    def is_huge(self) -> bool:
        """Whether windows of the image and its targets are read without the rest."""
        return is_huge(self.shape)

    def windows(self) -> Iterator[tuple[slice, slice]]:
        """Yield windows that cover the image and take little memory each: the whole image, unless it is huge."""
        return windows_of(self.shape)

    def bands(self) -> Iterator[tuple[slice, slice]]:
        """Yield windows as wide as the image, from its top to its bottom: one, or as high as chunks if it is huge."""
        height, width = self.shape
        _, chunk = chunk_shapes("labels", self.shape)
        rows = chunk[0] if chunk else max(1, height)
        for top in range(0, height, rows):
            yield slice(top, min(top + rows, height)), slice(0, width)

    @property
    def arrays(self) -> list[str]:
        """Names of the image's arrays: what `read` takes, with those `computed`."""
        return self.metadata.arrays

    @property
    def computed(self) -> list[str]:
        """Names of the targets that no array holds, because `read` computes them from the labels."""
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
            Rows and columns, of an image or a target, such as ``np.s_[:64, :64]``; all of them unless given. Of an
            image of more than 4096 x 4096 pixels only the chunks are read that they touch, of others the whole array.

        Raises
        ------
        NotInStoreError
            If there is no such array.
        StoreError
            If it is damaged.
        UsageError
            If the window is none.
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
            if name != "cells" and not self.is_huge:  # whose claim was held against its labels before
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
            raise StoreError(f"{self.path} is damaged: it claims {claimed} pixels, its {name} {found}")

    def form(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of an array, without reading it; raises as `read` does."""
        if name in self.computed:
            target = self.recipe.made[name]
            return target.shape(*self.shape, self.recipe), np.dtype(target.dtype)
        if name not in self._forms:  # of a huge image, each look goes through all files
            self._forms[name] = patiently(self.path, lambda: checked_form(self._place(name), name))
        return self._forms[name]

    def _place(self, name: str) -> Path:
        if name not in self:
            question = did_you_mean(name, self.keys())
            names = f"{f'{question} It' if question else 'it'} has {', '.join(self.keys())}"
            if name in TARGETS and (option := how_to_make([name], self.recipe)):
                names = f"build-targets makes it with {option}"
            is_text = isinstance(name, str)
            problem = f"has no array {name[:200]!r}" if is_text else f"names its arrays by texts, not {described(name)}"
            raise NotInStoreError(f"{self.path} {problem}: {names}")
        return self.path / array_path(name)


def _limited(window: tuple[slice, slice], shape: tuple[int, ...]) -> list[slice]:
    """Return slices with both ends, within an array of so many rows and columns."""
    ends = [part.indices(size)[:2] for part, size in zip(window, shape, strict=True)]
    return [slice(start, max(start, stop)) for start, stop in ends]


def _file_of(image: Path) -> tuple[int, ...] | None:
    """Return what tells an image's metadata file from another; None if there is none, or nobody can tell."""
    if is_remote(image):
        return None
    try:
        found = os.stat(image / "zarr.json")  # noqa: PTH116 - fast
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def read_attributes(folder: Path) -> dict[str, Any]:
    """Return what cellprep says of a group; nothing if it is not cellprep's."""
    try:
        return attributes_in(patiently(folder, lambda: read_file(folder / "zarr.json")))
    except OSError:
        return {}
