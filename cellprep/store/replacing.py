"""Reading while a writer replaces images: look again, where names cannot be exchanged in one step.

An image is then away for a moment, and lies in the run's folder of outgoing images, in the store's dot-folder.
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
    """Return the names of all that lies in a store's folder, and of the images that are away."""
    names = set(names_in(store))
    if DOT_FOLDER in names and not is_remote(store):
        names.update(place.name for place in _away(store, "*"))
        names.update(names_in(store))  # where those are now that came back meanwhile
    return names


def _away(store: Path, pattern: str) -> list[Path]:
    """Return where images are that runs have moved away: a run may end, and take its folder with it, meanwhile."""
    folder = store / DOT_FOLDER  # pathlib's glob raises where a folder is gone
    found = glob.glob(f"*/{OUTGOING}/{pattern}", root_dir=folder, include_hidden=True)  # noqa: PTH207
    return [folder / place for place in found]


def patiently(image: Path, look: Callable[[], T]) -> T:
    """Return what is found in an image's folder; look again if the image was away, or was replaced meanwhile.

    Parameters
    ----------
    image
        The image's folder.
    look
        Looks once. Its FileNotFoundError and StoreError are raised if nobody replaces the image.
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
    """Return what tells an image's folder from another of its name; None if there is none, or nobody can tell."""
    if is_remote(image):
        return None
    try:
        found = os.stat(image)  # noqa: PTH116 - fast
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _was_replaced(image: Path, before: tuple[int, int] | None) -> bool:
    """Return whether another image has the place of one that was there, or will have it soon."""
    away = _away(image.parent, glob.escape(image.name))
    return any(map(_is_recent, away)) or identity(image) != before


def _is_recent(outgoing: Path) -> bool:
    """Return whether an image was moved away just now; a run that was killed leaves its image there for good."""
    try:
        return time.time() - os.stat(outgoing.parent).st_mtime < _PATIENCE  # noqa: PTH116 - fast
    except OSError:
        return True  # it is gone again
