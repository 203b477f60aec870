"""Description of the contents of a store."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cellprep.core.targets.family import find_families
from cellprep.core.targets.recipe import CHOSEN_LATER
from cellprep.errors import RecipeError, StoreError
from cellprep.store import Store, StoreLike, Summary, as_store
from cellprep.store.entries import Kind, count_folders, entry_names, has_leftovers, kind_of
from cellprep.store.image import read_attributes
from cellprep.store.image_ids import id_problem
from cellprep.store.metadata import ImageMetadata
from cellprep.system.options import Quiet, documented
from cellprep.system.places import is_remote
from cellprep.system.progress import progress_bar
from cellprep.text.frames import make_frame
from cellprep.text.notebook import notebook_html
from cellprep.text.wording import count, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_MANY = 5000  # number of images whose metadata take a second to read

_OF_SOURCE = ("source_images", "source_images_stored")


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The contents of a store.

    Attributes
    ----------
    store
        The store's path.
    attributes
        The metadata of the store: ``schema_version``, ``version``, ``recipe``, ``source``.
    facts
        Counts over all images, as from `cellprep.store.Summary.to_dict`.
    source_images, source_images_stored
        Number of images in the source of the last run, and number of these in the store; None if the last run did not
        try all images, or if the store was changed since.
    damaged
        Number of images with damaged metadata, which are no longer images.
    under_way
        Whether a run is writing to the store, or was killed.
    read
        Number of images that were read because there was no valid summary.
    pixel_sizes
        Pairs of pixel size in micrometres and number of images, most frequent first; the size is None if unknown.
        None instead of a list for large stores and in object stores, as every image would have to be read.
    """

    store: str
    attributes: dict[str, Any]
    facts: dict[str, Any]
    source_images: int | None
    source_images_stored: int | None
    damaged: int
    under_way: bool
    read: int
    pixel_sizes: list[tuple[float | None, int]] | None = None

    def __repr__(self) -> str:
        counts = f"{count(self.facts['images'], 'image')}, {count(self.facts['cells'], 'cell')}"
        return f"<StoreInfo {printable(self.store)}: {counts}; complete: {self._completeness()}>"

    def _repr_html_(self) -> str:
        """Return a table of the facts for notebooks."""
        return notebook_html("Store", self._rows())

    @property
    def complete(self) -> bool | None:
        """True if every image of the source is in the store; None if this is unknown."""
        if self.source_images is None:
            return None
        return self.source_images == self.source_images_stored

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "store": self.store,
            **self.attributes,
            **self.facts,
            "source_images": self.source_images,
            "source_images_stored": self.source_images_stored,
            "complete": self.complete,
            "damaged": self.damaged,
            "under_way": self.under_way,
            "pixel_sizes": self.pixel_sizes and [list(pair) for pair in self.pixel_sizes],
        }

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per cell type: ``cell_type``, and the numbers of its ``images`` and ``cells``."""
        kinds = {"cell_type": "string", "images": "Int64", "cells": "Int64"}
        return make_frame([{name: [found[name]] for name in kinds} for found in self.facts["cell_types"]], kinds)

    def lines(self) -> list[str]:
        """Return a table of the facts, aligned."""
        return [f"{name:<14}{value}" for name, value in self._rows()]

    def notes(self) -> list[str]:
        """Return lines on images read one by one, and on what needs attention."""
        lines = []
        if self.read:
            lines.append(f"the store has no valid summary: {count(self.read, 'image')} read one by one")
        if self.damaged:
            lines.append(f"{count(self.damaged, 'image')} damaged: list them with cellprep verify")
        if self.under_way:
            lines.append("a run is writing to the store, or was killed: the next run removes its leftovers")
        return lines

    def errors(self) -> list[str]:
        """Return an empty list, as describing a store does not fail."""
        return []

    def _rows(self) -> Iterator[tuple[str, str]]:
        facts = self.facts
        yield "store", self.store
        yield "images", f"{facts['images']:,} ({facts['images_without_cells']:,} without cells)"
        yield "cells", f"{facts['cells']:,} ({facts['hidden']:,} hidden by others)"
        yield from _under("cell types", map(_cell_type, facts["cell_types"]))
        yield from _under("sizes", _sizes(facts))
        yield "pixels", self._pixels()
        yield from _under("pixel size", map(_pixel_size, self.pixel_sizes or ()))
        yield "arrays", ", ".join(_array(name, images, facts["images"]) for name, images in facts["arrays"].items())
        yield "on disk", f"{_bytes(facts['bytes'])} of arrays"
        yield from _under("recipe", _pairs(_typed(self.attributes.get("recipe"))))
        if others := self._made_otherwise():
            yield "", f"{count(others, 'image')} made with other options"
        yield from _under("source", _pairs(self.attributes.get("source")))
        yield from _under("left out", _pairs(self.attributes.get("excluded")))
        yield "written by", f"cellprep {printable(str(self.attributes.get('version')))}"
        yield "schema", str(self.attributes["schema_version"])
        yield "complete", self._completeness()

    def _pixels(self) -> str:
        stored, total = self.facts["arrays"].get("image", 0), self.facts["images"]
        if not stored:
            return "none: `build-targets` with --images adds them, as networks need them"
        return "of all images" if stored == total else f"of {stored:,} of {count(total, 'image')}"

    def _made_otherwise(self) -> int:
        """Return the number of images whose options differ from those of the last run."""
        recipe = self.attributes.get("recipe")
        last = recipe if isinstance(recipe, dict) else {}
        return sum(
            made["images"]
            for made in self.facts["recipes"]
            if any(last.get(name) != made["options"].get(name) for name in (*made["options"], *CHOSEN_LATER))
        )

    def _completeness(self) -> str:
        if self.source_images is None or self.source_images_stored is None:
            return "unknown: the last run was interrupted or built only selected images, or images were changed since"
        if self.complete:
            return f"yes: {count(self.source_images, 'image')} in the source"
        missing = self.source_images - self.source_images_stored
        return f"no: {missing:,} of {count(self.source_images, 'image')} of the source are not in the store"


@documented
def describe_store(store: StoreLike, *, quiet: Quiet = False) -> StoreInfo:
    r"""Describe the contents of a store.

    The summary of the last run is used if its number of images is right. Otherwise the metadata of all images are read.

    Parameters
    ----------
    store
        A store, or its path.

    Raises
    ------
    StoreError
        If there is no store of a known schema.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5")
    ...     report = build_targets(csv, Path(folder, "data.zarr"))
    ...     info = describe_store(Path(folder, "data.zarr"))
    >>> info.facts["images"], info.facts["cells"], info.complete
    (1, 1, True)
    """
    store = as_store(store)
    attributes = {name: value for name, value in store.attributes.items() if name != "summary"}
    told: dict[str, Any] = msgspec.to_builtins(store.metadata.summary) or {}
    read = damaged = 0
    facts = {name: value for name, value in told.items() if name not in _OF_SOURCE}
    if not told or told["images"] != count_folders(store.path):
        counted, read, damaged = _read_all(store.path, quiet=quiet)
        told = told if counted == facts else {}
        facts = counted
    return StoreInfo(
        store=str(store.path),
        attributes=attributes,
        facts=facts,
        source_images=told.get("source_images"),
        source_images_stored=told.get("source_images_stored"),
        damaged=damaged,
        under_way=has_leftovers(store.path),
        read=read,
        pixel_sizes=_pixel_sizes(store),
    )


def _pixel_sizes(store: Store) -> list[tuple[float | None, int]] | None:
    """Return the number of images by pixel size; None if there are too many images to read quickly."""
    if is_remote(store.path) or len(store) > _MANY:
        return None
    sizes: Counter[float | None] = Counter()
    for place in map(store.path.joinpath, store):
        with suppress(StoreError):
            sizes[ImageMetadata.of(read_attributes(place)).pixel_size] += 1
    return sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0] or 0))


def _read_all(store: Path, *, quiet: bool) -> tuple[dict[str, Any], int, int]:
    """Read the metadata of every image; return the counts, and the numbers of images read and damaged."""
    places = [store / name for name in entry_names(store)]
    summary, read, damaged = Summary(), 0, 0
    with progress_bar(len(places), "image", quiet=quiet) as bar:
        for place in places:
            found = _look_at(place)
            if isinstance(found, ImageMetadata):
                summary.add(found)
                read += 1
            damaged += found is Kind.DAMAGED
            bar.update()
    return summary.to_dict(), read, damaged


def _look_at(place: Path) -> ImageMetadata | Kind:
    """Return an image's metadata, or the kind of a damaged image or other entry."""
    if not id_problem(place.name):
        with suppress(StoreError):
            return ImageMetadata.of(read_attributes(place))
    return Kind.FOREIGN if kind_of(place) is Kind.FOREIGN else Kind.DAMAGED


def _under(name: str, values: Iterator[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        yield name, value
        name = ""


def _cell_type(made: dict[str, Any]) -> str:
    name = "no type" if made["cell_type"] is None else printable(made["cell_type"])
    return f"{name}: {count(made['images'], 'image')}, {count(made['cells'], 'cell')}"


def _pixel_size(known: tuple[float | None, int]) -> str:
    size, images = known
    return f"{'unknown' if size is None else f'{size:g} µm'}: {count(images, 'image')}"


def _sizes(facts: dict[str, Any]) -> Iterator[str]:
    for height, width, images in facts["shapes"]:
        yield f"{height} x {width}: {count(images, 'image')}"
    more = facts["distinct_shapes"] - len(facts["shapes"])
    if more > 0:
        yield f"{count(more, 'other size')}"


def _array(name: str, images: int, total: int) -> str:
    return printable(name) if images == total else f"{printable(name)} ({count(images, 'image')})"


def _typed(recipe: Any) -> Any:
    """Return a recipe with its targets as on the command line, if they are known."""
    with suppress(RecipeError, AttributeError, TypeError):
        families = find_families(recipe["targets"]) if "targets" in recipe else ()
        return {**recipe, "targets": ",".join(map(str, families))} if families else recipe
    return recipe


def _pairs(told: Any) -> Iterator[str]:
    for key, value in told.items() if isinstance(told, dict) else ():
        pairs = [f"{old} -> {new or '(left out)'}" for old, new in value.items()] if isinstance(value, dict) else value
        text = ", ".join(map(str, pairs)) if isinstance(pairs, list) else str(value)
        yield f"{printable(key.replace('_', ' '))}: {printable(text)}"


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return count(number, "byte")
