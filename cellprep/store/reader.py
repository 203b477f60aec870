"""Reading a store: all that a user of the targets needs, without the annotation file."""

import json
import os
import time
from bisect import bisect
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import Recipe
from cellprep.core.thumbnails import draw_thumbnail
from cellprep.errors import NotInStoreError, RecipeError, StoreError, UsageError
from cellprep.store.arrays import array_form, array_path, checked_form, read_array
from cellprep.store.documents import chunk_shapes, is_huge, spatial_axis, windows_of
from cellprep.store.image_ids import id_problem
from cellprep.store.metadata import ImageAttributes, ImageMetadata, StoreMetadata, attributes_in
from cellprep.store.replacing import all_names, identity, patiently
from cellprep.system.files import ask_all, read_file
from cellprep.system.places import as_place, is_place, is_remote
from cellprep.text.frames import make_frame
from cellprep.text.notebook import MOST_PICTURES, Row, notebook_html, shown_in_time
from cellprep.text.wording import count, described, did_you_mean, printable

if TYPE_CHECKING:
    import zarr
    from pandas import DataFrame

_SECONDS_TO_ITERATE = 1.0  # after images of an object store were counted
_NEAR = 2500  # ids before and after a wrong one, in order, among which like ones are looked for

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
"""By these files one knows what is left of an image that has lost its own metadata."""


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
        return isinstance(name, str) and name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def keys(self) -> list[str]:
        """Return `arrays`, so that ``dict(image)`` reads them all."""
        return self.arrays

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
        """Names of the image's arrays: what `read` takes."""
        return self.metadata.arrays

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
        return patiently(self.path, lambda: self._read(self._place(name), name, window))

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
        for axis, part in enumerate(window, start=down):
            start, stop, _ = part.indices(shape[axis])
            region[axis] = slice(start, max(start, stop))
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
        if name not in self._forms:  # of a huge image, each look goes through all files
            self._forms[name] = patiently(self.path, lambda: checked_form(self._place(name), name))
        return self._forms[name]

    def _place(self, name: str) -> Path:
        if name not in self:
            question = did_you_mean(name, self.arrays)
            names = f"{f'{question} It' if question else 'it'} has {', '.join(self.arrays)}"
            is_text = isinstance(name, str)
            problem = f"has no array {name[:200]!r}" if is_text else f"names its arrays by texts, not {described(name)}"
            raise NotInStoreError(f"{self.path} {problem}: {names}")
        return self.path / array_path(name)


class Store(Mapping[str, StoredImage]):
    """A store as a mapping of image ids to images: ``store["0e12"]["energy"]`` is an array.

    The metadata of an image are read once, and again when their file is another one. In an object store, where
    nobody sees that without a request, they are read again when the store is iterated over.

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
        self._opened: dict[str, StoredImage] = {}
        self._counted: tuple[float, list[str]] | None = None
        _check_readable(path)
        self.attributes = read_attributes(path)
        schema = self.attributes.get("schema_version")
        if schema is None:
            raise StoreError(f"{path} is no cellprep store")
        if schema != SCHEMA_VERSION:
            found = str(schema)[:40]
            raise StoreError(f"{path} has schema {found}: this version of cellprep knows schema {SCHEMA_VERSION}")

    def __repr__(self) -> str:
        facts = ", ".join(f"{value} {name}" for name, value in self._counts())
        return f"<Store {printable(str(self.path))}{': ' if facts else ''}{facts}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: a table, and a few of its images in small with their cells outlined."""
        names = sorted(name for name in all_names(self.path) if not id_problem(name))
        images = shown_in_time((name, image.thumbnail) for name in _spread(names) if (image := self._find(name)))
        rows: list[Row] = [*self._counts()] or [("images", f"{len(names):,}, if each of its folders is one")]
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
        """Yield numbers of images and cells, as they were at the end of the last run, if it left a summary."""
        if summary := self.metadata.summary:
            yield "images", f"{summary.images:,}"
            yield "cells", f"{summary.cells:,}"

    @cached_property
    def metadata(self) -> StoreMetadata:
        """The metadata of the store, as far as they have the form that cellprep writes."""
        return StoreMetadata.of(self.attributes)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last run that wrote to the store: its options. Each image has its own recipe as well.

        Raises
        ------
        StoreError
            If the store does not say so, or what it says is none.
        """
        told = self.metadata.recipe
        if told is None:
            raise StoreError(f"{self.path} does not say by which recipe it was built: its images do")
        try:
            return Recipe.from_dict({name: told[name] for name in Recipe.__dataclass_fields__ if name in told})
        except (RecipeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path} is damaged: its `recipe` is none: {error}") from error

    def __getitem__(self, image_id: str) -> StoredImage:
        """Return an image.

        Raises
        ------
        NotInStoreError
            If there is none of this id.
        """
        image = self._find(image_id)
        if image is None:
            raise NotInStoreError(self._missing(image_id))
        return image

    def _find(self, image_id: object) -> StoredImage | None:
        """Return an image; None if there is none of this id."""
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
        """Return the problem of an id that no image has."""
        if not isinstance(image_id, str):
            return f"an image id is a text, not {described(image_id)}: list(store) has all ids, in order"
        names = sorted(name for name in all_names(self.path) if not id_problem(name))
        place = bisect(names, image_id)
        question = did_you_mean(image_id, names[max(0, place - _NEAR) : place + _NEAR])
        return f"{self.path} has no image {image_id[:200]!r}: {question or 'list(store) has all ids'}"

    def __contains__(self, image_id: object) -> bool:
        """Return whether there is an image of this id: a group that cellprep wrote, whatever else lies in the store."""
        if not isinstance(image_id, str):
            return False
        if is_remote(self.path):
            self._open_remote([image_id])
            return image_id in self._opened
        return self._find(image_id) is not None

    def __iter__(self) -> Iterator[str]:
        counted, self._counted = self._counted, None  # when the first one is asked for, which is after `__len__`
        is_fresh = counted is not None and time.monotonic() - counted[0] < _SECONDS_TO_ITERATE
        yield from counted[1] if counted is not None and is_fresh else self.others(set())

    def __len__(self) -> int:
        ids = self.others(set())
        # `list` counts first: requests for that are enough.
        self._counted = (time.monotonic(), ids) if is_remote(self.path) else None
        return len(ids)

    def others(self, known: Container[str]) -> list[str]:
        """Return the sorted ids of the images that are not among those known; these are not looked at."""
        names = [name for name in all_names(self.path) if name not in known]
        if is_remote(self.path):
            self._open_remote(names)
            return sorted(self._opened.keys() & set(names))
        return sorted(name for name in names if name in self)

    def opened(self) -> list[StoredImage]:
        """Return the images that were asked for so far, as they were then: nothing is read."""
        return list(self._opened.values())

    def _open_remote(self, names: list[str]) -> None:
        """Open those images that there are of some names, with one request each."""
        names = [name for name in names if not id_problem(name)]
        for name, document in zip(names, ask_all(self.path, self._document, names), strict=True):
            self._opened.pop(name, None)
            with suppress(StoreError):  # it is no image
                self._opened[name] = StoredImage(self.path / name, document)

    def _document(self, name: str) -> bytes:
        try:
            return read_file(self.path / name / "zarr.json")
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per cell: what the store knows of it, without reading its labels.

        `cellprep.measure` measures cells.

        Returns
        -------
        DataFrame
            ``image``, ``label``, ``row`` in the source, ``cell_type``, ``area`` in pixels before overlaps, and
            whether it is ``hidden``: covered by others, without a pixel of its own. Images that cannot be read come
            last, with their ``problem``.
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
    names, hidden = [*told.categories, None], set(told.hidden)  # index -1 is the last
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
    ...     list(store), store["0e12"]["uvec"].shape, store["0e12"].recipe.wall_width
    (['0e12'], (5, 6, 2), 3)
    """
    return Store(path)


#: What a store may be taken from: see `as_store`.
StoreLike = Store | Path | str


def as_store(store: StoreLike) -> Store:
    """Return a store that is wanted: the store that is given, or that at a path.

    Raises
    ------
    UsageError
        If something else is given.
    StoreError
        As `open_store`.
    """
    return store if isinstance(store, Store) else open_store(store_place(store))


def store_place(store: StoreLike, name: str = "store") -> Path:
    """Return where a store is, be it whole or not, whose path is given or itself; messages call it by the name.

    Raises
    ------
    UsageError
        If something else is given.
    """
    if isinstance(store, Store):
        return store.path
    if not is_place(store):
        raise UsageError(f"{name} is {described(store)}: give the path of a store, or what open_store returns")
    return as_place(store)


def _spread(names: list[str]) -> list[str]:
    """Return a few of many names, evenly spread."""
    number = min(len(names), MOST_PICTURES)
    return [names[place * len(names) // number] for place in range(number)]


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
