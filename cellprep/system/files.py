"""Reading files whose place anybody may have filled: with a named pipe, a device, or more than memory holds."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cellprep.errors import TooLargeError
from cellprep.system.memory import check_memory
from cellprep.system.places import entries_in, is_remote

_ZARR = {"zarr.json", ".zgroup", ".zarray"}  # what makes a folder a group or an array of Zarr
_DEEPEST = 6  # folders below the first one that are walked
_AT_ONCE = 32  # questions to an object store


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that `walk` came to.

    Attributes
    ----------
    parts
        The names that lead to it from the first one.
    path
        Where it is.
    files, folders
        The names of what is in it, sorted.
    is_zarr
        Whether it is a group or an array of Zarr.
    """

    parts: tuple[str, ...]
    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    is_zarr: bool


def read_file(path: Path) -> bytes:
    """Read a file whole.

    Raises
    ------
    OSError
        If it cannot be read, or what is there is no file: a named pipe would be waited for, for ever.
    """
    if is_remote(path):
        return path.read_bytes()
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read it; raises as `read_file` does."""
    if is_remote(path):
        return path.open("rb")
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    try:
        _check(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def check_file(path: Path) -> None:
    """Refuse what is neither a file nor a folder, which may be waited for, for ever; raises as `read_file` does."""
    found = path.stat()
    if not is_remote(path) and not stat.S_ISDIR(found.st_mode):
        _check(found, path)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder.

    Raises
    ------
    OSError
        If a folder cannot be read, or something is there that is neither a file nor a folder, or a link to a folder.
    """
    for entry in entries_below(folder):
        if entry.is_symlink() and entry.is_dir():
            raise OSError(errno.ELOOP, "it is a link to a folder", entry.path)
        if not entry.is_dir():
            _check(entry.stat(), Path(entry.path))
            yield Path(entry.path)


def entries_below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield what is below a folder of this machine: files, links, and folders that are empty.

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
    """Return a folder and those below it, here or in an object store, in the order of their names.

    Zarr below it is named, but not entered. Links are followed once, and only to what is nowhere else.

    Parameters
    ----------
    folder
        The folder.
    is_left_out
        Whether files and folders of a name do not count.
    deepest
        How many folders below the first one are walked, one in the other.

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
            if not level:  # links come last: the folder itself counts, not a link to it
                level, links = links, []
    return sorted(found, key=lambda one: one.parts)


def _is_seen(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Return whether a folder was seen before, which a link leads to a second time, perhaps without end."""
    if is_remote(folder):
        return False
    with suppress(OSError):  # what cannot be read is said when it is listed
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
        raise OSError(errno.EINVAL, "it is no file, but a pipe or a device", str(path))
    try:
        check_memory(found.st_size, "it")
    except TooLargeError as error:
        raise OSError(errno.EFBIG, str(error), str(path)) from None
