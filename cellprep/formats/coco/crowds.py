"""Crowds in COCO files: regions to ignore, but several tools mark every mask so."""

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
    """Return notes on what is taken as regions to ignore, and warn where these may well be cells.

    Parameters
    ----------
    path
        The file.
    of_images
        Names of images, and their annotations.
    categories
        The names of the categories by their ids.

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
            f"{path} holds nothing but {count(every.total(), 'crowd')} (iscrowd 1): COCO's regions to ignore, but CVAT "
            "and others mark every mask so. Say what they are: --crowds cells, or --crowds ignore"
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
