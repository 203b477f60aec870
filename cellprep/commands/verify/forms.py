"""Which arrays an image has, with what shapes and dtypes, as ``docs/store.md`` says."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from cellprep.core.targets import TARGETS, Recipe
from cellprep.errors import RecipeError
from cellprep.store.attributes import KEYS, form_problem
from cellprep.text.wording import printable

Attributes = Mapping[str, Any]


#: By array its dtype and shape, which follow from an image's attributes; those of ``image`` are the file's.
OTHERS: dict[str, Callable[[Attributes], tuple[str, list[int]]]] = {
    "labels": lambda of: ("uint16" if of["cells"] <= np.iinfo(np.uint16).max else "uint32", of["shape"]),
    "cells": lambda of: ("int64", [of["cells"], 3]),
    "ignore": lambda of: ("uint8", of["shape"]),
}


def known_arrays() -> list[str]:
    """Return the names of the arrays that an image may have."""
    return ["image", "labels", "cells", *TARGETS, "ignore"]


def _form(name: str, attributes: Attributes) -> tuple[str, list[int]]:
    if name in OTHERS:
        return OTHERS[name](attributes)
    height, width = attributes["shape"]
    return TARGETS[name].dtype, list(TARGETS[name].shape(height, width))


def attributes_fault(attributes: dict[str, Any]) -> str | None:
    """Say what is wrong with the form of an image's attributes."""
    if problem := form_problem(attributes):
        return problem
    if strangers := sorted(attributes.keys() - KEYS):
        return f"`{strangers[0]}` is nothing that cellprep writes"
    if unknown := [name for name in attributes["arrays"] if name not in known_arrays()]:
        return f"`arrays` names {unknown[0]!r}: cellprep writes {', '.join(known_arrays())}"
    try:
        recipe = Recipe.from_dict(attributes["options"])
    except (TypeError, ValueError, RecipeError) as error:
        return f"`options` are no recipe: {printable(str(error))}"
    if json.dumps(recipe.to_dict(), sort_keys=True) != json.dumps(attributes["options"], sort_keys=True):
        return "`options` are no recipe as cellprep writes it"
    return None


def missing_arrays(attributes: Attributes) -> Iterator[str]:
    """Yield the arrays that every image has and this one does not."""
    yield from sorted({"labels", "cells", *TARGETS} - set(attributes["arrays"]))


def form_fault(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], attributes: Attributes) -> str | None:
    """Say in what an array's shape or dtype is not what it must be."""
    found = f"it is {dtype} of shape {list(shape)}"
    if name == "image":
        height_and_width = attributes["shape"]
        if dtype.kind in "uif" and len(shape) in (2, 3) and list(shape[-2:]) == height_and_width:
            return None
        return f"{found}: height and width must be {height_and_width}"
    right_dtype, right_shape = _form(name, attributes)
    if (dtype.name, list(shape)) == (right_dtype, right_shape):
        return None
    return f"{found}: it must be {right_dtype} of shape {right_shape}"
