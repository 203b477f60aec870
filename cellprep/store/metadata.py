"""The metadata of an image, of all images and of the store: checked once, when they are read.

A `zarr.json` may hold more than cellprep wrote: other Zarr tools add attributes of their own. They are no part of these
structures, and `cellprep.store.documents.additions` names them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from cellprep.errors import StoreError

#: Characters of a cell type's name.
LONGEST_TYPE = 200

_Number = Annotated[int, Meta(ge=0)]
_Side = Annotated[int, Meta(gt=0)]
_Name = Annotated[str, Meta(max_length=LONGEST_TYPE)]
_Length = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)]  # an int stays one: both are written differently


class ImageMetadata(Struct, frozen=True, kw_only=True):
    """The metadata of an image, under ``cellprep``: `docs/store.md` has the meaning of each value.

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
        """Check what its type does not say of a value; raises ValueError."""
        if not self.complete:
            raise ValueError("`complete` is False: it must be true")
        for key, names in (("arrays", self.arrays), ("categories", self.categories)):
            if len(set(names)) < len(names):
                raise ValueError(f"`{key}` is {str(names)[:80]!r}: it must be a list of names")
        if not all(1 <= label <= self.cells for label in self.hidden):
            raise ValueError("`hidden` names labels that no annotation has")
        if len(self.cells_of_category) != len(self.categories):
            raise ValueError("`cells_of_category` and `categories` differ in length")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what an image's attributes say, without those of others.

        Raises
        ------
        StoreError
            If one is missing or has another form than ``docs/store.md`` says; the message names it.
        """
        try:
            return msgspec.convert(told, cls)
        except msgspec.ValidationError as error:
            problems = (_problem(told, field) for field in msgspec.structs.fields(cls))
            raise StoreError(next(filter(None, problems), str(error))) from None


class TypeCount(Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of images and cells of a type; the type is None for those without one."""

    cell_type: str | None
    images: int
    cells: int


class RecipeCount(Struct, frozen=True, forbid_unknown_fields=True):
    """The number of images that were made by the same options."""

    images: int
    options: dict[str, Any]


class StoreSummary(Struct, frozen=True, kw_only=True):
    """The metadata of all images together, under ``summary``."""

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
    """The metadata of the store, under ``cellprep``: a value that is missing or has another form is None."""

    schema_version: int | None = None
    version: str | None = None
    recipe: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    excluded: dict[str, Any] | None = None
    summary: StoreSummary | None = None
    crc32c: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what a store's attributes say, without those of others; damage to one value hides no other."""
        return cls(**{
            field.name: msgspec.convert(told[field.name], field.type)
            for field in msgspec.structs.fields(cls)
            if field.name in told and _fits(told[field.name], field.type)
        })  # fmt: skip


IMAGE_KEYS = frozenset(ImageMetadata.__struct_fields__)
STORE_KEYS = frozenset(StoreMetadata.__struct_fields__)


class ImageAttributes(dict[str, Any]):
    """The attributes of an image as they are in its ``zarr.json``, with those that others added under ``cellprep``.

    Parameters
    ----------
    place
        The image's folder.
    attributes
        What its metadata say under ``cellprep``.

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
        """Return a value; raises StoreError if it is missing, or has not the form that cellprep writes."""
        for field in msgspec.structs.fields(ImageMetadata):
            if field.name == key and (problem := _problem(self, field)):
                raise StoreError(f"{self._place} is damaged: {problem}")
        return super().__getitem__(key)


def attributes_in(document: bytes) -> dict[str, Any]:
    """Return what cellprep says in a group's ``zarr.json``; nothing if it is not cellprep's, or damaged."""
    try:
        told = json.loads(document)["attributes"]["cellprep"]
        json.dumps(ours_of(told, IMAGE_KEYS | STORE_KEYS), allow_nan=False)  # cellprep writes no infinite numbers
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
    return told  # type: ignore[no-any-return]


def ours_of(told: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Return the attributes of some names, in their order: those that cellprep writes."""
    return {key: value for key, value in told.items() if key in keys}


def _problem(told: Mapping[str, Any], field: msgspec.structs.FieldInfo) -> str | None:
    """Return what is wrong with one value; None if it is right."""
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
