"""Flushing written files to disk, so that they survive a power loss."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path


def flush_file(path: Path) -> None:
    """Flush the content of a file to disk.

    Raises
    ------
    OSError
        If the disk cannot be written to.
    """
    with path.open("rb+") as file:  # Windows flushes only files that are open for writing
        os.fsync(file.fileno())


def flush_below(folder: Path) -> None:
    """Flush all files below a folder to disk, with their names.

    On Linux the whole file system is flushed at once, which is about 100 times as fast for thousands of small files.

    Raises
    ------
    OSError
        If the disk cannot be written to.
    """
    if sys.platform == "linux":
        _flush_file_system(folder)
        return
    for inner, _, files in os.walk(folder, topdown=False):
        for file in files:
            flush_file(Path(inner, file))
        flush_names(Path(inner))


def flush_names(folder: Path) -> None:
    """Flush the names of the files in a folder to disk, where the system supports it."""
    with suppress(OSError):  # Windows cannot open folders, and some file systems cannot flush them
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
