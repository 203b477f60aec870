"""pandas data frames. pandas is loaded only when a frame is made."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from pandas import DataFrame


def is_frame(what: object) -> "TypeGuard[DataFrame]":
    """Return whether an object is a data frame, without loading pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(what, pandas.DataFrame)


def encodable(text: str) -> str:
    r"""Return a text that UTF-8 can encode. Invalid characters, as in some file names, become escapes.

    Examples
    --------
    >>> encodable("a\udcff")
    'a\\udcff'
    """
    return text.encode(errors="backslashreplace").decode()


def make_frame(parts: Iterable[Mapping[str, Sequence[Any]]], kinds: Mapping[str, str]) -> "DataFrame":
    """Return a data frame whose columns and dtypes do not depend on its content.

    Parameters
    ----------
    parts
        Blocks of rows: values by column. A column that a block lacks is filled with missing values.
    kinds
        Columns in order, with their pandas dtypes: ``string``, ``Int64``, ``Float64``, ``boolean``.

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
