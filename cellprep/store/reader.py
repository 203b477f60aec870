"""Reading a store: all that users of targets need, without the annotation file."""

import json
import os
import time
from bisect import bisect
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.core.targets import Recipe
from cellprep.errors import NotInStoreError, RecipeError, StoreError, UsageError
from cellprep.store.arrays import array_path
from cellprep.store.image import StoredImage, read_attributes
from cellprep.store.image_ids import id_problem
from cellprep.store.metadata import StoreMetadata
from cellprep.store.replacing import all_names
from cellprep.system.files import ask_all, read_file
from cellprep.system.places import as_place, is_place, is_remote
from cellprep.text.frames import make_frame
from cellprep.text.notebook import MOST_PICTURES, Row, notebook_html, shown_in_time
from cellprep.text.wording import count, described, did_you_mean, printable

if TYPE_CHECKING:
    import zarr
    from pandas import DataFrame

_SECONDS_TO_ITERATE = 1.0  # how long a count of images in an object store may be reused to iterate
_NEAR = 2500  # sorted ids before and after a wrong id that are searched for similar ones

SCHEMA_VERSION = 1

_CELL_COLUMNS = {
    "image": "string",
    "label": "Int64",
    "row": "Int64",
    "cell_type": "string",
    "area": "Int64",
    "hidden": "boolean",
    "problem": "string",
}

SIGNS = tuple(f"{array_path(name)}/zarr.json" for name in ("labels", "cells"))
"""Files that identify the remains of an image that lost its metadata."""


class Store(Mapping[str, StoredImage]):
    """A store, as a mapping of image ids to images: ``store["0e12"]["energy"]`` is an array.

    The metadata of an image are read once, and again if the file was replaced. In an object store, where this check
    would need a request, they are read again when the store is iterated over.

    Parameters
    ----------
    path
        Folder of the store.

    Raises
    ------
    StoreError
        If there is no store, or its schema is not supported by this version.

    Attributes
    ----------
    attributes : dict
        Metadata of the store: ``schema_version``, ``version``, ``recipe``, ``source``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path = as_place(path)
        self._opened: dict[str, StoredImage] = {}
        self._counted: tuple[float, list[str]] | None = None
        _check_readable(path)
        self.attributes = read_attributes(path)
        schema = self.attributes.get("schema_version")
        if schema is None:
            raise StoreError(f"{path} is not a cellprep store")
        if schema != SCHEMA_VERSION:
            found = str(schema)[:40]
            raise StoreError(f"{path} has schema {found}: this version of cellprep knows schema {SCHEMA_VERSION}")

    def __repr__(self) -> str:
        facts = ", ".join(f"{value} {name}" for name, value in self._counts())
        return f"<Store {printable(str(self.path))}{': ' if facts else ''}{facts}>"

    def _repr_html_(self) -> str:
        """Return the notebook view: a table and thumbnails of a few images with cell outlines."""
        names = sorted(name for name in all_names(self.path) if not id_problem(name))
        images = shown_in_time((name, image.thumbnail) for name in _spread(names) if (image := self._find(name)))
        rows: list[Row] = [*self._counts()] or [("images", f"up to {len(names):,} (number of folders)")]
        if summary := self.metadata.summary:
            kinds = [
                f"{printable(kind.cell_type or 'no type')}: {count(kind.cells, 'cell')}" for kind in summary.cell_types
            ]
            sizes = [f"{height} x {width}: {count(images, 'image')}" for height, width, images in summary.shapes]
            rows += [("cell types", kinds), ("sizes", sizes), ("arrays", ", ".join(map(printable, summary.arrays)))]
        if self.metadata.recipe:
            try:
                rows.append(("recipe", repr(self.recipe)))
            except StoreError as error:
                rows.append(("damaged", str(error)))
        return notebook_html(f"Store {printable(str(self.path))}", rows, images)

    def _counts(self) -> Iterator[tuple[str, str]]:
        """Yield the numbers of images and cells from the summary of the last run, if there is one."""
        if summary := self.metadata.summary:
            yield "images", f"{summary.images:,}"
            yield "cells", f"{summary.cells:,}"

    @cached_property
    def metadata(self) -> StoreMetadata:
        """The metadata of the store; invalid values are None."""
        return StoreMetadata.of(self.attributes)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last run that wrote to the store. Each image has its own recipe as well.

        Raises
        ------
        StoreError
            If the store has no recipe, or an invalid one.
        """
        told = self.metadata.recipe
        if told is None:
            raise StoreError(f"{self.path} has no recipe: see the recipes of its images")
        try:
            return Recipe.from_dict({name: told[name] for name in Recipe.__dataclass_fields__ if name in told})
        except (RecipeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path} is damaged: its `recipe` is invalid: {error}") from error

    def __getitem__(self, image_id: str) -> StoredImage:
        """Return an image.

        Raises
        ------
        NotInStoreError
            If there is no image with this id.
        """
        image = self._find(image_id)
        if image is None:
            raise NotInStoreError(self._missing(image_id))
        return image

    def _find(self, image_id: object) -> StoredImage | None:
        """Return an image; None if there is no image with this id."""
        if not isinstance(image_id, str):
            return None
        image = self._opened.get(image_id)
        if image is None or not image.is_as_read():
            self._opened.pop(image_id, None)
            if id_problem(image_id):
                return None
            with suppress(StoreError):
                image = self._opened[image_id] = StoredImage(self.path / image_id)
        return self._opened.get(image_id)

    def _missing(self, image_id: object) -> str:
        """Return the error message for an unknown id."""
        if not isinstance(image_id, str):
            return f"an image id is a string, not {described(image_id)}: list(store) returns all ids, sorted"
        names = sorted(name for name in all_names(self.path) if not id_problem(name))
        place = bisect(names, image_id)
        question = did_you_mean(image_id, names[max(0, place - _NEAR) : place + _NEAR])
        return f"{self.path} has no image {image_id[:200]!r}: {question or 'list(store) returns all ids'}"

    def __contains__(self, image_id: object) -> bool:
        """Return whether there is an image with this id: a group that cellprep wrote."""
        if not isinstance(image_id, str):
            return False
        if is_remote(self.path):
            self._open_remote([image_id])
            return image_id in self._opened
        return self._find(image_id) is not None

    def __iter__(self) -> Iterator[str]:
        counted, self._counted = self._counted, None  # read at the first item, thus after `__len__`
        is_fresh = counted is not None and time.monotonic() - counted[0] < _SECONDS_TO_ITERATE
        yield from counted[1] if counted is not None and is_fresh else self.others(set())

    def __len__(self) -> int:
        ids = self.others(set())
        # `list` calls `__len__` first; its requests are reused.
        self._counted = (time.monotonic(), ids) if is_remote(self.path) else None
        return len(ids)

    def others(self, known: Container[str]) -> list[str]:
        """Return the sorted ids of the images that are not in `known`, which are not read."""
        names = [name for name in all_names(self.path) if name not in known]
        if is_remote(self.path):
            self._open_remote(names)
            return sorted(self._opened.keys() & set(names))
        return sorted(name for name in names if name in self)

    def opened(self) -> list[StoredImage]:
        """Return the images that were opened so far, without reading them again."""
        return list(self._opened.values())

    def _open_remote(self, names: list[str]) -> None:
        """Open the images with the given names, if they exist, with one request each."""
        names = [name for name in names if not id_problem(name)]
        for name, document in zip(names, ask_all(self.path, self._document, names), strict=True):
            self._opened.pop(name, None)
            with suppress(StoreError):  # not an image
                self._opened[name] = StoredImage(self.path / name, document)

    def _document(self, name: str) -> bytes:
        try:
            return read_file(self.path / name / "zarr.json")
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def to_dataframe(self) -> "DataFrame":
        """Return a data frame with one row per cell, from the metadata only.

        `cellprep.measure` measures cells.

        Returns
        -------
        DataFrame
            ``image``, ``label``, ``row`` in the source, ``cell_type``, ``area`` in pixels before overlaps are resolved,
            and ``hidden``: whether other cells cover all of its pixels. Images that cannot be read come last, with
            their ``problem``.
        """
        parts, failed = [], []
        for image_id in self:
            try:
                parts.append(_cell_rows(self[image_id]))
            except (StoreError, KeyError) as error:
                failed.append({"image": [image_id], "problem": [str(error)]})
        return make_frame([*parts, *failed], _CELL_COLUMNS)

    def zarr(self) -> "zarr.Group":
        """Open the store with zarr-python, read-only."""
        import zarr

        return zarr.open_group(self.path, mode="r")


def _cell_rows(image: StoredImage) -> dict[str, list[Any]]:
    table, told = image.read("cells"), image.metadata
    names, hidden = [*told.categories, None], set(told.hidden)  # index -1, no category, is the last
    return {
        "image": [image.id] * len(table),
        "label": list(range(1, len(table) + 1)),
        "row": table[:, 0].tolist(),
        "cell_type": [names[index] for index in table[:, 2]],
        "area": table[:, 1].tolist(),
        "hidden": [label in hidden for label in range(1, len(table) + 1)],
    }


def open_store(path: Path | str) -> Store:
    r"""Open a store for reading.

    Parameters
    ----------
    path
        Folder of the store, or its URL in an object store.

    Returns
    -------
    Store
        A mapping from sorted image ids to images.

    Raises
    ------
    StoreError
        If there is no store, or its schema is not supported.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets, open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5")
    ...     report = build_targets(open_source(csv), Path(folder, "data.zarr"))
    ...     store = open_store(Path(folder, "data.zarr"))
    ...     list(store), store["0e12"]["uvec"].shape, store["0e12"].recipe.wall_width
    (['0e12'], (5, 6, 2), 3)
    """
    return Store(path)


#: Arguments that stand for a store: see `as_store`.
StoreLike = Store | Path | str


def as_store(store: StoreLike) -> Store:
    """Return the given store, or open the store at the given path.

    Raises
    ------
    UsageError
        If the argument is neither.
    StoreError
        As `open_store`.
    """
    return store if isinstance(store, Store) else open_store(store_place(store))


def store_place(store: StoreLike, name: str = "store") -> Path:
    """Return the folder of a store, given by path or as an object; messages call the argument `name`.

    Raises
    ------
    UsageError
        If the argument is neither.
    """
    if isinstance(store, Store):
        return store.path
    if not is_place(store):
        raise UsageError(f"{name} is {described(store)}: give the path of a store, or the result of open_store")
    return as_place(store)


def _spread(names: list[str]) -> list[str]:
    """Return a few evenly spaced names of many."""
    number = min(len(names), MOST_PICTURES)
    return [names[place * len(names) // number] for place in range(number)]


def is_foreign(place: Path) -> bool:
    """Return whether an entry was not written by cellprep; damaged images were.

    Links are foreign, regardless of their target.
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
