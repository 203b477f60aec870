"""Reading while a writer replaces images: reads are repeated where names cannot be exchanged in one step.

The image is then absent for a moment. It is in the run's folder of outgoing images, inside the store's dot-folder.
"""

import glob
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cellprep.errors import StoreError
from cellprep.system.places import is_remote, names_in

DOT_FOLDER = ".cellprep"
OUTGOING = "old"

_PATIENCE = 2.0  # seconds
_SECONDS_BETWEEN_LOOKS = 0.002

T = TypeVar("T")


def all_names(store: Path) -> set[str]:
    """Return the names of all entries of a store's folder, and of images that are being replaced."""
    names = set(names_in(store))
    if DOT_FOLDER in names and not is_remote(store):
        names.update(place.name for place in _away(store, "*"))
        names.update(names_in(store))  # list again, as images may have come back in the meantime
    return names


def _away(store: Path, pattern: str) -> list[Path]:
    """Return the images that runs have moved away. A run may end and remove its folder in the meantime."""
    folder = store / DOT_FOLDER  # pathlib's glob raises if a folder is removed
    found = glob.glob(f"*/{OUTGOING}/{pattern}", root_dir=folder, include_hidden=True)  # noqa: PTH207
    return [folder / place for place in found]


def patiently(image: Path, look: Callable[[], T]) -> T:
    """Read something from an image's folder, and repeat it if the image was absent or replaced in the meantime.

    Parameters
    ----------
    image
        The image's folder.
    look
        Reads once. Its FileNotFoundError and StoreError are raised unless the image is being replaced.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        before = identity(image)
        try:
            return look()
        except (FileNotFoundError, StoreError):
            if is_remote(image) or time.monotonic() > deadline or not _was_replaced(image, before):
                raise
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def identity(image: Path) -> tuple[int, int] | None:
    """Return an identifier of an image's folder, to notice a replacement; None if there is none or it is unknown."""
    if is_remote(image):
        return None
    try:
        found = os.stat(image)  # noqa: PTH116 - fast
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _was_replaced(image: Path, before: tuple[int, int] | None) -> bool:
    """Return whether an image was replaced, or is about to be."""
    away = _away(image.parent, glob.escape(image.name))
    return any(map(_is_recent, away)) or identity(image) != before


def _is_recent(outgoing: Path) -> bool:
    """Return whether an image was moved away just now; a killed run leaves its image there forever."""
    try:
        return time.time() - os.stat(outgoing.parent).st_mtime < _PATIENCE  # noqa: PTH116 - fast
    except OSError:
        return True  # it was removed in the meantime
