"""Checks of an image's table of cells, and of the number of pixels of each label."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.verify.fault import Fault
from cellprep.store.metadata import ImageMetadata
from cellprep.text.wording import count

Table = NDArray[np.int64]


def table_fault(table: Table, metadata: ImageMetadata) -> Fault | None:
    """Return the first rule that ``cells``, (n, 3), breaks regardless of other arrays."""
    for name, rule in _RULES.items():
        if problem := rule(table, metadata):
            return Fault("cells", name, problem)
    return None


def label_faults(owned: Table, nobodys: int, table: Table, metadata: ImageMetadata) -> Iterator[Fault]:
    """Yield contradictions to the number of pixels of each label, (n,), and of the background."""
    if problem := _hidden_problem(owned, metadata):
        yield Fault("labels", "hidden cells", problem)
    elif problem := _areas_problem(table[:, 1], owned, int(owned.sum()) + nobodys):
        yield Fault("cells", "areas of annotations", problem)


def _rows(table: Table, metadata: ImageMetadata) -> str | None:
    values, counts = np.unique(table[:, 0], return_counts=True)
    if len(values) == len(table):
        return None
    return f"source row {values[counts.argmax()]} occurs {counts.max()} times"


def _categories(table: Table, metadata: ImageMetadata) -> str | None:
    names, numbers = metadata.categories, metadata.cells_of_category
    indices = table[:, 2]
    wrong = np.flatnonzero((indices < -1) | (indices >= len(names)))
    if len(wrong):
        return f"label {wrong[0] + 1} has category {indices[wrong[0]]} of {len(names)}"
    if names != sorted(names):
        return f"`categories` are not sorted: {names}"
    found = np.bincount(indices[indices >= 0], minlength=len(names)).tolist()
    if found != numbers or 0 in found:
        return f"`cells_of_category` is {numbers}, but {names} have {found} cells"
    return None


def _cell_type(table: Table, metadata: ImageMetadata) -> str | None:
    # An image without cells may have a type nevertheless.
    of_category = dict(zip(metadata.categories, metadata.cells_of_category, strict=True))
    most = [name for name, number in of_category.items() if number == max(of_category.values())]
    is_right = metadata.cell_type in most if most else metadata.cell_type is None
    if not metadata.cells or is_right:
        return None
    return (
        f"`cell_type` is {metadata.cell_type!r}, but most cells are {' or '.join(map(repr, most)) or 'without a type'}"
    )


_RULES = {"rows": _rows, "categories": _categories, "cell type": _cell_type}


def _hidden_problem(owned: Table, metadata: ImageMetadata) -> str | None:
    found = (np.flatnonzero(owned == 0) + 1).tolist()
    wrong = sorted(set(found) ^ set(metadata.hidden))
    if not wrong and found != metadata.hidden:
        return "`hidden` is not ascending"
    what = "is not in `hidden`, but has no pixels" if wrong and wrong[0] in found else "is in `hidden`, but has pixels"
    return f"{count(len(wrong), 'label')} wrong in `hidden`: {wrong[0]} {what}" if wrong else None


def _areas_problem(areas: Table, owned: Table, pixels: int) -> str | None:
    wrong = np.flatnonzero((areas < owned) | (areas > pixels))
    if not len(wrong):
        return None
    first = wrong[0]
    what = f"{areas[first]}, but the label has {owned[first]} pixels"
    return f"{count(len(wrong), 'area')} wrong, the first is that of label {first + 1}: {what}"
