"""Plain-text tables."""

from collections.abc import Iterable, Sequence


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a table as lines, with numbers right-aligned.

    Examples
    --------
    >>> text_table(["fold", "cells"], [["0", "1,024"], ["1", "9"]])
    ['fold  cells', '0     1,024', '1         9']
    """
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]
