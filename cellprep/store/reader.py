"""Reading a store: all that a user of the targets needs, without the annotation file."""

import json
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import Recipe
from cellprep.errors import RecipeError, StoreError
from cellprep.store.arrays import array_form, array_path, checked_form, read_array
from cellprep.store.attributes import ImageAttributes, attributes_in
from cellprep.store.documents import chunk_shapes, is_huge, spatial_axis, windows_of
from cellprep.store.image_ids import id_problem
from cellprep.store.replacing import all_names, identity, patiently
from cellprep.system.files import read_file
from cellprep.system.places import as_place, is_remote

if TYPE_CHECKING:
    import zarr

SCHEMA_VERSION = 1

SIGNS = tuple(f"{array_path(name)}/zarr.json" for name in ("labels", "cells"))
"""By these files one knows what is left of an image that has lost its own metadata."""


class StoredImage:
    """One image of a store.

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
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path = as_place(path)
        self.id = path.name
        self._identity = identity(path)
        self._claim_holds = False
        self._forms: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self.attributes = ImageAttributes(path, read_attributes(path))
        if not self.attributes.get("complete"):
            raise StoreError(f"{path} is no complete image of a cellprep store")

    def __repr__(self) -> str:
        return f"<StoredImage {self.id!r}: {self.attributes.get('cells')} cells>"

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        height, width = self.attributes["shape"]
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

    @property
    def recipe(self) -> Recipe:
        """The recipe that its targets were made by; StoreError if what it says of that is none."""
        try:
            return Recipe.from_dict(self.attributes["options"])
        except (RecipeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path} is damaged: its `options` are no recipe: {error}") from error

    @property
    def is_huge(self) -> bool:
        """Whether windows of the image and its targets are read without the rest of them."""
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
        """Names of the image's arrays: what `read` takes."""
        names: list[str] = self.attributes["arrays"]
        return names

    def read(self, name: str, window: tuple[slice, slice] | None = None) -> NDArray[Any]:
        """Read an array, or a window of it.

        Parameters
        ----------
        name
            ``image``, ``labels``, ``cells`` or a target, such as ``energy``.
        window
            Rows and columns, of an image or a target; all of them unless given. Of an image of more than 4096 x 4096
            pixels only the chunks are read that they touch, of others the whole array.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged.
        """
        return patiently(self.path, lambda: self._read(self._place(name), name, window))

    def _read(self, place: Path, name: str, window: tuple[slice, slice] | None) -> NDArray[Any]:
        if window is None:
            array = read_array(place, name)
            if name != "cells" and not self.is_huge:  # whose claim was held against its labels before
                self._check_claim(name, array.shape)
            return array
        shape, _ = array_form(place, name)
        down = spatial_axis(name, shape)
        region = [slice(0, size) for size in shape]
        for axis, part in enumerate(window, start=down):
            start, stop, _ = part.indices(shape[axis])
            region[axis] = slice(start, max(start, stop))
        return read_array(place, name, tuple(region))

    def _check_claim(self, name: str, shape: tuple[int, ...]) -> None:
        down = spatial_axis(name, shape)
        if (found := shape[down : down + 2]) != self.shape:
            claimed = " x ".join(map(str, self.shape))
            raise StoreError(f"{self.path} is damaged: it claims {claimed} pixels, its {name} {found}")

    def form(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of an array, without reading it; raises as `read` does."""
        if name not in self._forms:  # of a huge image, each look goes through all files
            self._forms[name] = patiently(self.path, lambda: checked_form(self._place(name), name))
        return self._forms[name]

    def _place(self, name: str) -> Path:
        if name not in self.arrays:
            raise StoreError(f"{self.path} has no array {name!r}: it has {', '.join(self.arrays)}")
        return self.path / array_path(name)


class Store(Mapping[str, StoredImage]):
    """A store as a mapping of image ids to images.

    Parameters
    ----------
    path
        The store's folder.

    Raises
    ------
    StoreError
        If there is no store, or it is of a schema that this version does not know.

    Attributes
    ----------
    attributes : dict
        What the store says of itself: ``schema_version``, ``version``, ``recipe``, ``source``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path = as_place(path)
        _check_readable(path)
        self.attributes = read_attributes(path)
        schema = self.attributes.get("schema_version")
        if schema is None:
            raise StoreError(f"{path} is no cellprep store")
        if schema != SCHEMA_VERSION:
            found = str(schema)[:40]
            raise StoreError(f"{path} has schema {found}: this version of cellprep knows schema {SCHEMA_VERSION}")

    def __repr__(self) -> str:
        return f"<Store {self.path}>"

    def __getitem__(self, image_id: str) -> StoredImage:
        if id_problem(image_id):
            raise KeyError(image_id)
        try:
            return StoredImage(self.path / image_id)
        except StoreError:
            raise KeyError(image_id) from None

    def __contains__(self, image_id: object) -> bool:
        """Return whether there is an image of this id: a group that cellprep wrote, whatever else lies in the store."""
        if not isinstance(image_id, str) or id_problem(image_id):
            return False
        return bool(read_attributes(self.path / image_id).get("complete"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.others(set()))

    def __len__(self) -> int:
        return len(self.others(set()))

    def others(self, known: Container[str]) -> list[str]:
        """Return the sorted ids of the images that are not among those known; these are not looked at."""
        names = [name for name in all_names(self.path) if name not in known]
        return sorted(self._remote_images(names) if is_remote(self.path) else (name for name in names if name in self))

    def _remote_images(self, names: list[str]) -> list[str]:
        """Return those names that images have; the object store is asked for many at a time."""
        remote: Any = self.path
        places = {f"{remote.path}/{name}/zarr.json": name for name in names if not id_problem(name)}
        found = remote.fs.cat(list(places), on_error="return") if places else {}
        for problem in found.values():
            if isinstance(problem, Exception) and not isinstance(problem, FileNotFoundError):
                raise StoreError(f"{self.path} cannot be read: {problem}")
        return [places[path] for path, content in found.items() if attributes_in(content).get("complete")]

    def zarr(self) -> "zarr.Group":
        """Open the store with zarr-python, read-only."""
        import zarr

        return zarr.open_group(self.path, mode="r")


def open_store(path: Path | str) -> Store:
    r"""Open a store for reading.

    Parameters
    ----------
    path
        The store's folder, or its URL in an object store.

    Returns
    -------
    Store
        A mapping of image ids, sorted, to images.

    Raises
    ------
    StoreError
        If there is no store of a known schema.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets, open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5")
    ...     report = build_targets(open_source(csv), Path(folder, "data.zarr"))
    ...     store = open_store(Path(folder, "data.zarr"))
    ...     list(store), store["0e12"].read("uvec").shape
    (['0e12'], (5, 6, 2))
    """
    return Store(path)


def is_foreign(place: Path) -> bool:
    """Return whether what is in an image's place was put there by somebody else; damaged images were not.

    A link was, whatever it leads to: what lies there is not the store's.
    """
    if place.is_symlink():
        return True
    if not place.exists():
        return False
    try:
        return "cellprep" not in json.loads(read_file(place / "zarr.json"))["attributes"]
    except (ValueError, RecursionError):
        return False
    except FileNotFoundError:
        return not all((place / sign).is_file() for sign in SIGNS)
    except (OSError, KeyError, TypeError):
        return True


def read_attributes(folder: Path) -> dict[str, Any]:
    """Return what cellprep says of a group; nothing if it is not cellprep's."""
    try:
        return attributes_in(patiently(folder, lambda: read_file(folder / "zarr.json")))
    except OSError:
        return {}


def _check_readable(store: Path) -> None:
    if is_remote(store):
        try:
            read_file(store / "zarr.json")
        except FileNotFoundError:
            raise StoreError(f"there is no store {store}") from None
        except OSError as error:
            raise StoreError(f"{store} cannot be read: {error.strerror or error}") from error
    elif not store.is_dir():
        raise StoreError(f"there is no store {store}")
    elif not os.access(store, os.R_OK | os.X_OK):
        raise StoreError(f"{store} cannot be read: Permission denied")
