"""What is in a folder: its files and folders in the order of their names."""

import hashlib
import os
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cellprep.errors import SourceError
from cellprep.file_names import is_foreign
from cellprep.places import is_remote, names_in
from cellprep.store.reader import read_attributes

__all__ = ["entries_in", "files_in", "folders_in", "hash_of_listing", "walk"]

_ZARR = {"zarr.json", ".zgroup", ".zarray"}  # what makes a folder a group or an array of Zarr
_DEEPEST = 6  # folders below the first one that are searched
_DEEPEST_REMOTE = 1  # in an object store, where every folder is a request


def entries_in(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what is hidden or foreign: systems put files of their own there."""
    try:
        return sorted(entry for entry in folder.iterdir() if not is_foreign(entry.name))
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error


def files_in(folder: Path, ends: Container[str]) -> list[Path]:
    """Return the files whose names end so, such as ``.png``."""
    return [entry for entry in entries_in(folder) if entry.suffix.lower() in ends]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder."""
    return [folder / name for name, is_folder in sorted(_entries(folder).items()) if is_folder and not is_foreign(name)]


def walk(folder: Path) -> Iterator[tuple[tuple[str, ...], list[Path]]]:
    """Yield a folder and those below it: the names that lead there, and the files in it. Zarr below it is left out."""
    yield from _walk(folder, (), _DEEPEST_REMOTE if is_remote(folder) else _DEEPEST, set())


def _walk(
    folder: Path, parts: tuple[str, ...], deepest: int, seen: set[tuple[int, int]]
) -> Iterator[tuple[tuple[str, ...], list[Path]]]:
    if not is_remote(folder):
        with suppress(OSError):  # what cannot be read is said below
            found = folder.stat()
            place = found.st_dev, found.st_ino
            if place in seen:  # a link leads to it a second time, perhaps without end
                return
            seen.add(place)
    entries = _entries(folder)
    if parts and not _ZARR.isdisjoint(entries):
        return
    own = {name: is_folder for name, is_folder in sorted(entries.items()) if not is_foreign(name)}
    yield parts, [folder / name for name, is_folder in own.items() if not is_folder]
    for name in (name for name, is_folder in own.items() if is_folder and len(parts) < deepest):
        yield from _walk(folder / name, (*parts, name), deepest, seen)


def _entries(folder: Path) -> dict[str, bool]:
    """Return whether each entry is a folder; in an object store, where each question is a request, its name says it."""
    try:
        if is_remote(folder):
            return {name: not Path(name).suffix or name.endswith(".zarr") for name in names_in(folder)}
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error


def is_zarr(folder: Path) -> bool:
    """Return whether a folder is Zarr of others: no store of cellprep, which commands leave beside their sources."""
    return not is_remote(folder) and not _ZARR.isdisjoint(_entries(folder)) and not is_store(folder)


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store of cellprep, be it whole or not."""
    return "schema_version" in read_attributes(folder)


def hash_of_listing(files: Iterable[Path], folder: Path) -> str:
    """Return the SHA-256, in hex, of the names and sizes of files; what is in them, the images' own hashes tell."""
    lines = [f"{file.relative_to(folder).as_posix()} {_size(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _size(file: Path) -> str:
    """Return a file's size in bytes; ``-`` if there is none, as behind a dead link, which fails its own image."""
    try:
        return str(file.stat().st_size)
    except OSError:
        return "-"
