"""The arrays of an image, with their shapes and dtypes, as ``docs/store.md`` describes them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cellprep.core.targets import TARGETS, Recipe
from cellprep.errors import RecipeError, StoreError
from cellprep.store.documents import CHECKSUM
from cellprep.store.metadata import IMAGE_KEYS, ImageMetadata
from cellprep.text.wording import printable

#: The dtype and shape of each array, which follow from an image's metadata; ``image`` has those of its file.
OTHERS: dict[str, Callable[[ImageMetadata], tuple[str, tuple[int, ...]]]] = {
    "labels": lambda of: ("uint16" if of.cells <= np.iinfo(np.uint16).max else "uint32", of.shape),
    "cells": lambda of: ("int64", (of.cells, 3)),
    "ignore": lambda of: ("uint8", of.shape),
}


def known_arrays() -> list[str]:
    """Return the names of the arrays that an image may have."""
    return ["image", "labels", "cells", *TARGETS, "ignore"]


def _form(name: str, metadata: ImageMetadata) -> tuple[str, tuple[int, ...]]:
    if name in OTHERS:
        return OTHERS[name](metadata)
    return TARGETS[name].dtype, TARGETS[name].shape(*metadata.shape, Recipe.from_dict(metadata.options))


def attributes_fault(attributes: dict[str, Any]) -> str | None:
    """Return what is wrong with an image's attributes; those of other tools are ignored."""
    try:
        metadata = ImageMetadata.of(attributes)
    except StoreError as error:
        return str(error)
    strangers = sorted(attributes.keys() - IMAGE_KEYS)
    if strangers and CHECKSUM not in attributes:  # the unknown key may be a damaged checksum
        return f"cellprep does not write `{strangers[0]}`"
    if unknown := [name for name in metadata.arrays if name not in known_arrays()]:
        return f"`arrays` names {unknown[0]!r}: cellprep writes {', '.join(known_arrays())}"
    try:
        recipe = Recipe.from_dict(metadata.options)
    except (TypeError, ValueError, RecipeError) as error:
        return f"`options` are not a recipe: {printable(str(error))}"
    if json.dumps(recipe.to_dict(), sort_keys=True) != json.dumps(metadata.options, sort_keys=True):
        return "`options` are not a recipe as cellprep writes it"
    if unmade := set(TARGETS).intersection(metadata.arrays) - recipe.stored.keys():
        return f"`arrays` names {min(unmade)!r}, which is not in `options`"
    if (metadata.computed or []) != recipe.computed:
        return f"`computed` is {metadata.computed or []}: according to `options` it should be {recipe.computed}"
    return None


def missing_arrays(metadata: ImageMetadata) -> Iterator[str]:
    """Yield the arrays that the recipe requires and the image does not have."""
    yield from sorted({"labels", "cells", *Recipe.from_dict(metadata.options).stored} - set(metadata.arrays))


def form_fault(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], metadata: ImageMetadata) -> str | None:
    """Return how an array's shape or dtype differs from the required one."""
    found = f"it is {dtype} of shape {list(shape)}"
    if name == "image":
        if dtype.kind in "uif" and len(shape) in (2, 3) and shape[-2:] == metadata.shape:
            return None
        return f"{found}: height and width must be {list(metadata.shape)}"
    right_dtype, right_shape = _form(name, metadata)
    if (dtype.name, shape) == (right_dtype, right_shape):
        return None
    return f"{found}: it must be {right_dtype} of shape {list(right_shape)}"
