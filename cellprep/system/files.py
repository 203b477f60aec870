"""Reading files safely: a path may lead to a named pipe, a device, or more data than fits into memory."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from cellprep.errors import TooLargeError
from cellprep.system.memory import check_memory
from cellprep.system.places import entries_in, is_remote

_ZARR = {"zarr.json", ".zgroup", ".zarray"}  # files that mark a folder as a Zarr group or array
_DEEPEST = 6  # levels of folders below the first one
_AT_ONCE = 32  # parallel requests to an object store

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that `walk` visited.

    Attributes
    ----------
    parts
        Names of the folders on the way from the first one.
    path
        Its path.
    files, folders
        Sorted names of its files and folders.
    is_zarr
        Whether it is a Zarr group or array.
    """

    parts: tuple[str, ...]
    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    is_zarr: bool


def read_file(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    OSError
        If it cannot be read or is not a regular file: reading a named pipe would block forever.
    """
    if is_remote(path):
        return path.read_bytes()
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading; raises as `read_file` does."""
    if is_remote(path):
        return path.open("rb")
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    try:
        _check(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def ask_all(place: Path, ask: Callable[[A], B], about: Iterable[A]) -> list[B]:
    """Return the result of a query for each item below a path, with parallel requests to an object store."""
    if not is_remote(place):
        return list(map(ask, about))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, about))


def check_file(path: Path) -> None:
    """Refuse what is neither a file nor a folder, as reading it may block forever; raises as `read_file` does."""
    found = path.stat()
    if not is_remote(path) and not stat.S_ISDIR(found.st_mode):
        _check(found, path)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder.

    Raises
    ------
    OSError
        If a folder cannot be read, or if it contains a special file or a link to a folder.
    """
    for entry in entries_below(folder):
        if entry.is_symlink() and entry.is_dir():
            raise OSError(errno.ELOOP, "is a link to a folder", entry.path)
        if not entry.is_dir():
            _check(entry.stat(), Path(entry.path))
            yield Path(entry.path)


def entries_below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield the entries below a local folder: files, links and empty folders.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    folders: list[os.DirEntry[str] | None] = [None]
    while folders:
        above = folders.pop()
        with os.scandir(folder if above is None else above.path) as entries:
            found = list(entries)
        if above is not None and not found:
            yield above
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry)
            else:
                yield entry


def walk(folder: Path, is_left_out: Callable[[str], bool], deepest: int = _DEEPEST) -> list[Folder]:
    """Return a folder and its subfolders, local or in an object store, sorted by name.

    Zarr groups and arrays below it are listed but not entered. Links are followed once, and only to new folders.

    Parameters
    ----------
    folder
        The folder to start from.
    is_left_out
        Returns whether to skip files and folders of a name.
    deepest
        Number of levels below the first folder.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    found: list[Folder] = []
    level: list[tuple[tuple[str, ...], Path]] = [((), folder)]
    links: list[tuple[tuple[str, ...], Path]] = []
    seen: set[tuple[int, int]] = set()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while level:
            level = [(parts, path) for parts, path in level if not _is_seen(path, seen)]
            paths = [path for _, path in level]
            listings = pool.map(entries_in, paths) if is_remote(folder) else map(entries_in, paths)
            below = []
            for (parts, path), entries in zip(level, listings, strict=True):
                names = sorted(name for name in entries if not is_left_out(name))
                files, folders = (tuple(name for name in names if entries[name] is kind) for kind in (False, True))
                found.append(Folder(parts, path, files, folders, is_zarr=not _ZARR.isdisjoint(entries)))
                if len(parts) < deepest and not (parts and found[-1].is_zarr):
                    below += [((*parts, name), path / name) for name in folders]
            level = []
            for one in below:
                (links if not is_remote(folder) and one[1].is_symlink() else level).append(one)
            if not level:  # links come last, so that a folder is found before links to it
                level, links = links, []
    return sorted(found, key=lambda one: one.parts)


def _is_seen(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Return whether a folder was already visited, as links may form a cycle."""
    if is_remote(folder):
        return False
    with suppress(OSError):  # unreadable folders are reported when they are listed
        found = folder.stat()
        place = found.st_dev, found.st_ino
        if place in seen:
            return True
        seen.add(place)
    return False


def _check(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file but a pipe or a device", str(path))
    try:
        check_memory(found.st_size, "it")
    except TooLargeError as error:
        raise OSError(errno.EFBIG, str(error), str(path)) from None
