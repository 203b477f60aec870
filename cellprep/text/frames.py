"""Tables as pandas has them. pandas is loaded only when one is made."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from pandas import DataFrame


def is_frame(what: object) -> "TypeGuard[DataFrame]":
    """Return whether something is a data frame; pandas is not loaded for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(what, pandas.DataFrame)


def encodable(text: str) -> str:
    r"""Return a text as UTF-8 can have it: what is no text, as in the names of some files, becomes an escape.

    Examples
    --------
    >>> encodable("a\udcff")
    'a\\udcff'
    """
    return text.encode(errors="backslashreplace").decode()


def make_frame(parts: Iterable[Mapping[str, Sequence[Any]]], kinds: Mapping[str, str]) -> "DataFrame":
    """Return a table, whose columns and their types are the same whatever is in it.

    Parameters
    ----------
    parts
        Some rows each: values by column. A column that a part lacks has none there.
    kinds
        The columns in order, and the type of each, as pandas calls it: ``string``, ``Int64``, ``Float64``, ``boolean``.

    Examples
    --------
    >>> make_frame([{"image": ["a", "b"], "cells": [3, None]}], {"image": "string", "cells": "Int64"})
      image  cells
    0     a      3
    1     b   <NA>
    """
    from pandas import DataFrame, Series

    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    for part in parts:
        rows = max(map(len, part.values()), default=0)
        for name in kinds:
            columns[name] += part.get(name, [None] * rows)
    for name, kind in kinds.items():
        if kind == "string":
            columns[name] = [None if text is None else encodable(text) for text in columns[name]]
    return DataFrame({name: Series(columns[name], dtype=kind) for name, kind in kinds.items()})
