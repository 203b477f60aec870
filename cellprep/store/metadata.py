"""Metadata of an image, of all images and of the store, validated once, when they are read.

A `zarr.json` may contain attributes that other Zarr tools added. They are not part of these structures;
`cellprep.store.documents.additions` lists them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from cellprep.errors import StoreError

#: Largest number of characters in the name of a cell type.
LONGEST_TYPE = 200

_Number = Annotated[int, Meta(ge=0)]
_Side = Annotated[int, Meta(gt=0)]
_Name = Annotated[str, Meta(max_length=LONGEST_TYPE)]
# Int and float are kept apart, as they are written differently.
_Length = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)]


class ImageMetadata(Struct, frozen=True, kw_only=True):
    """The metadata of an image, under ``cellprep``; `docs/store.md` explains each value.

    Examples
    --------
    >>> ImageMetadata.of({"complete": True, "arrays": "labels"})
    Traceback (most recent call last):
    cellprep.errors.StoreError: `arrays` is 'labels': it must be a list of names
    >>> ImageMetadata.of({"complete": True})
    Traceback (most recent call last):
    cellprep.errors.StoreError: `arrays` is missing
    """

    complete: Annotated[bool, Meta(description="true")]
    arrays: Annotated[list[_Name], Meta(description="a list of names")]
    recipe: Annotated[str, Meta(description="a text")]
    options: Annotated[dict[str, Any], Meta(description="an object")]
    pixel_size: Annotated[_Length | None, Meta(description="a length above 0, or null")]
    bytes: Annotated[_Number, Meta(description="a number")]
    shape: Annotated[tuple[_Side, _Side], Meta(description="two numbers above 0")]
    cells: Annotated[_Number, Meta(description="a number")]
    hidden: Annotated[list[_Number], Meta(description="a list of numbers")]
    excluded: Annotated[list[int], Meta(description="a list of whole numbers")]
    cell_type: Annotated[_Name | None, Meta(description="a short text or null")]
    categories: Annotated[list[_Name], Meta(description="a list of names")]
    cells_of_category: Annotated[list[_Number], Meta(description="a list of numbers")]
    orientation: Annotated[Literal["applied", "ignored"] | UnsetType, Meta(description="applied or ignored")] = UNSET
    planes: Annotated[dict[str, Any] | UnsetType, Meta(description="an object")] = UNSET
    ignored: Annotated[dict[str, _Number] | UnsetType, Meta(description="an object of numbers")] = UNSET
    computed: Annotated[list[_Name] | UnsetType, Meta(description="a list of names")] = UNSET
    crc32c: Annotated[str | UnsetType, Meta(description="a text")] = UNSET

    def __post_init__(self) -> None:
        """Check constraints beyond the types; raises ValueError."""
        if not self.complete:
            raise ValueError("`complete` is false: it must be true")
        for key, names in (("arrays", self.arrays), ("categories", self.categories)):
            if len(set(names)) < len(names):
                raise ValueError(f"`{key}` is {str(names)[:80]!r}: it must be a list of names")
        if not all(1 <= label <= self.cells for label in self.hidden):
            raise ValueError("`hidden` contains labels without an annotation")
        if len(self.cells_of_category) != len(self.categories):
            raise ValueError("`cells_of_category` and `categories` differ in length")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the metadata in an image's attributes, without those of other tools.

        Raises
        ------
        StoreError
            If a value is missing or not valid according to ``docs/store.md``; the message names it.
        """
        try:
            return msgspec.convert(told, cls)
        except msgspec.ValidationError as error:
            problems = (_problem(told, field) for field in msgspec.structs.fields(cls))
            raise StoreError(next(filter(None, problems), str(error))) from None


class TypeCount(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of images and cells of a cell type; the type is None for those without one."""

    cell_type: str | None
    images: int
    cells: int


class RecipeCount(Struct, frozen=True, forbid_unknown_fields=True):
    """Number of images built with the same options."""

    images: int
    options: dict[str, Any]


class StoreSummary(Struct, frozen=True, kw_only=True):
    """Metadata of all images together, under ``summary``."""

    source_images: int
    source_images_stored: int
    images: int
    images_without_cells: int
    cells: int
    hidden: int
    bytes: int
    cell_types: list[TypeCount]
    shapes: list[Annotated[list[int], Meta(min_length=3, max_length=3)]]  # height, width, number of images
    distinct_shapes: int
    arrays: dict[str, int]
    recipes: list[RecipeCount]


class StoreMetadata(Struct, frozen=True, kw_only=True):
    """Metadata of the store, under ``cellprep``; values that are missing or invalid are None."""

    schema_version: int | None = None
    version: str | None = None
    recipe: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    excluded: dict[str, Any] | None = None
    summary: StoreSummary | None = None
    crc32c: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the metadata in a store's attributes, without those of other tools, reading each independently."""
        return cls(**{
            field.name: msgspec.convert(told[field.name], field.type)
            for field in msgspec.structs.fields(cls)
            if field.name in told and _fits(told[field.name], field.type)
        })  # fmt: skip


IMAGE_KEYS = frozenset(ImageMetadata.__struct_fields__)
STORE_KEYS = frozenset(StoreMetadata.__struct_fields__)


class ImageAttributes(dict[str, Any]):
    """Attributes of an image as in its ``zarr.json``, including those that other tools added under ``cellprep``.

    Parameters
    ----------
    place
        Folder of the image.
    attributes
        Metadata under ``cellprep``.

    Examples
    --------
    >>> ImageAttributes(Path("s.zarr/a"), {"cells": "many"})["cells"]
    Traceback (most recent call last):
    cellprep.errors.StoreError: s.zarr/a is damaged: `cells` is 'many': it must be a number
    """

    def __init__(self, place: Path, attributes: dict[str, Any]) -> None:
        super().__init__(attributes)
        self._place = place

    def __getitem__(self, key: str) -> Any:
        """Return a value; raises StoreError if it is missing or invalid."""
        for field in msgspec.structs.fields(ImageMetadata):
            if field.name == key and (problem := _problem(self, field)):
                raise StoreError(f"{self._place} is damaged: {problem}")
        return super().__getitem__(key)


def attributes_in(document: bytes) -> dict[str, Any]:
    """Return the attributes of cellprep in a group's ``zarr.json``; empty if it is not cellprep's or damaged."""
    try:
        told = json.loads(document)["attributes"]["cellprep"]
        json.dumps(ours_of(told, IMAGE_KEYS | STORE_KEYS), allow_nan=False)  # cellprep writes neither NaN nor infinity
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
    return told  # type: ignore[no-any-return]


def ours_of(told: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Return the attributes with the given names, in their order."""
    return {key: value for key, value in told.items() if key in keys}


def _problem(told: Mapping[str, Any], field: msgspec.structs.FieldInfo) -> str | None:
    """Return the problem with a value; None if it is valid."""
    name = field.name
    if name not in told:
        return f"`{name}` is missing" if field.required else None
    value = told.get(name)
    if _fits(value, field.type):
        return None
    form = next(meta.description for meta in reversed(field.type.__metadata__) if meta.description)
    return f"`{name}` is {str(value)[:80]!r}: it must be {form}"


def _fits(value: Any, form: Any) -> bool:
    try:
        msgspec.convert(value, form)
    except msgspec.ValidationError:
        return False
    return True
