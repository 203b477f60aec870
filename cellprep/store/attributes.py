"""What a store says of an image, under ``cellprep``: the form that every reader may count on."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellprep.errors import StoreError
from cellprep.store.documents import CHECKSUM

#: Characters of a cell type's name.
LONGEST_TYPE = 200


class ImageAttributes(dict[str, Any]):
    """The attributes of an image, which anybody may have written: a value is checked when it is asked for.

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
        if key in (_FORMS | _AT_TIMES) and (problem := field_problem(self, key)):
            raise StoreError(f"{self._place} is damaged: {problem}")
        return super().__getitem__(key)


def attributes_in(document: bytes) -> dict[str, Any]:
    """Return what cellprep says in a group's ``zarr.json``; nothing if it is not cellprep's, or damaged."""
    try:
        attributes = json.loads(document, parse_float=_finite, parse_constant=_finite)["attributes"]["cellprep"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number that cellprep writes")
    return number


def form_problem(attributes: dict[str, Any]) -> str | None:
    """Say what an image's attributes lack, or have in another form than ``docs/store.md`` says.

    Returns
    -------
    str or None
        The first fault; None if the form is right, whatever the arrays hold.

    Examples
    --------
    >>> form_problem({"complete": True, "arrays": "labels"})
    "`arrays` is 'labels': it must be a list of names"
    >>> form_problem({"complete": True})
    '`arrays` is missing'
    """
    for key in (*_FORMS, *(attributes.keys() & _AT_TIMES.keys())):
        if problem := field_problem(attributes, key):
            return problem
    if not all(1 <= label <= attributes["cells"] for label in attributes["hidden"]):
        return "`hidden` names labels that no annotation has"
    if len(attributes["cells_of_category"]) != len(attributes["categories"]):
        return "`cells_of_category` and `categories` differ in length"
    return None


def field_problem(attributes: dict[str, Any], key: str) -> str | None:
    """Return whether one of these attributes is missing, or has another form; None if it is right."""
    form, fits = (_FORMS | _AT_TIMES)[key]
    if key not in attributes:
        return f"`{key}` is missing"
    value = attributes.get(key)
    return None if fits(value) else f"`{key}` is {str(value)[:80]!r}: it must be {form}"


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)


def _is_length(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value)) and len(set(value)) == len(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TYPE


_FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "complete": ("true", lambda value: value is True),
    "arrays": ("a list of names", _are_names),
    "recipe": ("a text", lambda value: isinstance(value, str)),
    "options": ("an object", lambda value: isinstance(value, dict)),
    "pixel_size": ("a length above 0, or null", lambda value: value is None or _is_length(value)),
    "bytes": ("a number", _is_number),
    "shape": ("two numbers above 0", lambda value: _are_numbers(value) and len(value) == 2 and 0 not in value),
    "cells": ("a number", _is_number),
    "hidden": ("a list of numbers", _are_numbers),
    "excluded": ("a list of whole numbers", _are_whole),
    "cell_type": ("a short text or null", lambda value: value is None or _is_name(value)),
    "categories": ("a list of names", _are_names),
    "cells_of_category": ("a list of numbers", _are_numbers),
}

# What is said of some images only.
_AT_TIMES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "orientation": ("applied or ignored", lambda value: value in ("applied", "ignored")),
}

#: All that cellprep says of an image.
KEYS = {*_FORMS, *_AT_TIMES, CHECKSUM}
