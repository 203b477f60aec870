"""Crowds in COCO files: they are regions to ignore, but several tools mark all masks as crowds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from cellprep.errors import UsageError
from cellprep.formats.coco.document import AnnotationEntry, EntryId
from cellprep.text.wording import count, printable

Crowds = Literal["ignore", "cells"]

_NAMED = 3


def crowd_notes(
    path: Path, of_images: Sequence[tuple[str, list[AnnotationEntry]]], categories: Mapping[EntryId, str]
) -> list[str]:
    """Return notes on crowds taken as regions to ignore, with a warning if these may be cells.

    Parameters
    ----------
    path
        The file.
    of_images
        Names of images, and their annotations.
    categories
        Names of the categories by id.

    Raises
    ------
    UsageError
        If all annotations are crowds.
    """
    crowds = Counter(found.category_id for _, annotations in of_images for found in annotations if found.iscrowd)
    if not crowds:
        return []
    every = Counter(found.category_id for _, annotations in of_images for found in annotations)
    if crowds == every:
        raise UsageError(
            f"{path} contains only {count(every.total(), 'crowd')} (iscrowd 1), which are regions to ignore in COCO, "
            "but CVAT and others mark all masks as crowds. Choose --crowds cells or --crowds ignore"
        )
    reasons = [
        f"{number:,} of {every[category]:,} of the category {printable(categories.get(category or '', ''))}"
        for category, number in crowds.items()
        if 2 * number > every[category]
    ]
    alone = [name for name, annotations in of_images if annotations and all(found.iscrowd for found in annotations)]
    if alone:
        some = ", ".join(map(printable, alone[:_NAMED])) + (" ..." if len(alone) > _NAMED else "")
        reasons.append(f"all in {count(len(alone), 'image')}: {some}")
    head = f"{count(crowds.total(), 'crowd')} (iscrowd 1) taken as regions to ignore"
    if not reasons:
        return [f"{head}; --crowds cells takes them as cells"]
    return [f"warning: {head}, {'; '.join(reasons)}. If they are cells, run again with --crowds cells"]
