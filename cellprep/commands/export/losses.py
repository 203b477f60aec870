"""The parts of an image's content that a format cannot hold."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cellprep.core.overlaps import find_overlaps
from cellprep.formats.annotations.content import Content
from cellprep.formats.writers import FEATURES, Exporter


def losses_of(content: Content, exporter: Exporter) -> dict[str, Any]:
    """Return ``losses`` and ``joined`` of `Written`."""
    told_of = (set(FEATURES) - exporter.holds) | exporter.joined
    found = {name: number for name in FEATURES if name in told_of and (number := _COUNTS[name](content))}
    return {
        "losses": {name: number for name, number in found.items() if name not in exporter.holds},
        "joined": {name: number for name, number in found.items() if name in exporter.holds},
    }


def _overlapping(content: Content) -> int:
    return int(np.count_nonzero(find_overlaps(content.annotated.runs).contested)) if content.annotated else 0


def _is_own(name: str) -> bool:
    """Return whether a name was given by a user: tools number cells, and ImageJ names them by position (0012-0345)."""
    return bool(name) and not name.replace("-", "").isdecimal()


#: Counts of the cells with each of `FEATURES`; 1 or 0 for regions to ignore.
_COUNTS: dict[str, Callable[[Content], int]] = {
    "overlaps": _overlapping,
    "holes": lambda content: sum(any(len(polygon) > 1 for polygon in cell) for cell in content.exact_outlines),
    "pieces": lambda content: sum(len(cell) > 1 for cell in content.exact_outlines),
    "types": lambda content: sum(map(bool, content.known.cell_types)),
    "scores": lambda content: len(content.known.scores or ()),
    "names": lambda content: sum(map(_is_own, content.known.names or ())),
    "ignore": lambda content: int(content.ignore is not None),
}
