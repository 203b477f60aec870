"""Reading files whose place anybody may have filled: with a named pipe, a device, or more than memory holds."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cellprep.errors import TooLargeError
from cellprep.memory import check_memory
from cellprep.places import is_remote

__all__ = ["files_below", "open_file", "read_file"]


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
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder.

    Raises
    ------
    OSError
        If something is there that is neither a file nor a folder, or a link to a folder.
    """
    for parent, folders, files in os.walk(folder):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):  # noqa: PTH114, PTH118 - fast
                raise OSError(errno.ELOOP, "it is a link to a folder", os.path.join(parent, name))  # noqa: PTH118
        for name in files:
            path = Path(parent, name)
            _check(path.stat(), path)
            yield path


def _check(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no file, but a pipe or a device", str(path))
    try:
        check_memory(found.st_size, "it")
    except TooLargeError as error:
        raise OSError(errno.EFBIG, str(error), str(path)) from None
