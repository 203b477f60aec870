"""Table of scores."""

from collections.abc import Mapping
from typing import Any

from cellprep.text.tables import text_table
from cellprep.text.wording import printable


def score_table(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    r"""Lay out scores that `cellprep.core.scores.summarise` returned, as the lines of a table.

    Parameters
    ----------
    columns
        One or more sets of scores by column name.

    Examples
    --------
    >>> print(*score_table({"all": {"images": 1200, "pq": 0.51234, "ap": {"0.50": 1.0}, "coco_ap": None}}), sep="\n")
    score      all
    images   1,200
    pq       0.512
    ap 0.50  1.000
    coco_ap      -
    """
    flat = [dict(_flat(scores)) for scores in columns.values()]
    rows = [[name, *(_number(scores[name]) for scores in flat)] for name in flat[0]]
    return text_table(["score", *map(printable, columns)], rows)


def _flat(scores: Mapping[str, Any]) -> list[tuple[str, float | int | None]]:
    pairs: list[tuple[str, float | int | None]] = []
    for name, value in scores.items():
        pairs += (
            [(f"{name} {key}", part) for key, part in value.items()] if isinstance(value, Mapping) else [(name, value)]
        )
    return pairs


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
