"""From the system's memory onto the disk, so that what a command has written outlives a power loss."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path


def flush_file(path: Path) -> None:
    """Return when a file's content is on the disk.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    with path.open("rb+") as file:  # Windows flushes only what may be written to
        os.fsync(file.fileno())


def flush_below(folder: Path) -> None:
    """Return when all that was written below a folder is on the disk, and the names of its files with it.

    On Linux the whole file system is flushed at once: for thousands of small files that takes a hundredth of the time.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    if sys.platform == "linux":
        _flush_file_system(folder)
        return
    for inner, _, files in os.walk(folder, topdown=False):
        for file in files:
            flush_file(Path(inner, file))
        flush_names(Path(inner))


def flush_names(folder: Path) -> None:
    """Let the names of the files in a folder be on the disk, where the system can be told so."""
    with suppress(OSError):  # Windows opens no folders, and some file systems flush none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _flush_file_system(folder: Path) -> None:
    c_library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if c_library.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
