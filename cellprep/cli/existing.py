"""What becomes of what is already where a command is to write: refused, or replaced if it is asked for."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellprep.errors import OutputError, UsageError
from cellprep.system.places import is_place, is_remote

RUN = "run.json"  # of every training's folder
MAPS_KEY = "cellprep-maps"  # of the attributes of predicted maps


def refuse_read(places: Iterable[Path], read: Iterable[Any]) -> None:
    """Refuse to write to what is read, under whatever name.

    Raises
    ------
    UsageError
        If a place is that of what is read.
    """
    inputs = [Path(place) for place in read if is_place(place) and not is_remote(place)]
    for path in places:
        if _is_there(path) and any(_is_there(place) and path.samefile(place) for place in inputs):
            raise UsageError(f"--out {path} is the file that is read: choose another")


def refuse_existing(places: Iterable[Path]) -> None:
    """Refuse to write where something is.

    Raises
    ------
    OutputError
        If a file is there, or a folder that is not empty.
    """
    for path in filter(_is_taken, places):
        raise OutputError(f"{path} exists: it is left alone; --overwrite replaces it, or choose another place")


@contextmanager
def replaced(places: Iterable[Path], read: Iterable[Any], mark: str = "") -> Iterator[None]:
    """Let a command write where something is: a folder is moved aside meanwhile, and comes back if none replaces it.

    A file stays, as commands put a new one in its place when that is whole.

    Parameters
    ----------
    places
        Where it writes.
    read
        What it reads, which may not be in these folders; whatever is no path is left out.
    mark
        The file that such a folder has if the command wrote it.

    Raises
    ------
    UsageError
        If a folder holds what is read, or is none that a command wrote.
    """
    folders = [path for path in places if _is_taken(path) and path.is_dir()]
    inputs = [Path(place).resolve() for place in read if is_place(place) and not is_remote(place)]
    for folder in folders:
        _refuse_foreign(folder, inputs, mark)
    moved: dict[Path, Path] = {}
    try:
        for folder in folders:
            aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
            try:
                moved[folder] = folder.rename(aside)
            except OSError as error:
                raise OutputError(f"cannot replace {folder}: {error.strerror or error}") from error
        yield
    finally:
        for folder, aside in moved.items():
            if folder.exists():
                shutil.rmtree(aside, ignore_errors=True)
            elif aside.exists():
                aside.rename(folder)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long, of which whoever writes it tells
        return False


def is_folder(path: Path) -> bool:
    """Return whether a folder is there."""
    return _is_there(path) and path.is_dir()


def _is_taken(path: Path) -> bool:
    return _is_there(path) and not (path.is_dir() and not any(path.iterdir()))


def _refuse_foreign(folder: Path, inputs: Iterable[Path], mark: str) -> None:
    """Refuse to replace a folder that holds more than what a command wrote."""
    own = folder.resolve()
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link to a folder, which --overwrite does not replace: name the folder itself")
    if any(place.is_relative_to(own) for place in (Path.cwd(), Path.home())):
        raise UsageError(f"{folder} is where you are or live: choose another --out")
    if within := [place for place in inputs if place.exists() and place.is_relative_to(own)]:
        raise UsageError(f"{within[0]} is read and lies in {folder}: choose another --out")
    zarr = folder / "zarr.json"
    if zarr.exists() and MAPS_KEY not in zarr.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{folder} is a store or another Zarr: remove it yourself, or choose another --out")
    if mark and not (folder / mark).exists():
        raise UsageError(f"{folder} has no {mark}, so that it may hold anything: choose another --out")


def is_first_process() -> bool:
    """Return whether this process is the first of those that share a training, or alone: the one that writes."""
    return os.environ.get("RANK", "0") == "0"
