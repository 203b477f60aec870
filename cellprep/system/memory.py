"""Memory: checking that data fit, and reusing freed memory."""

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from cellprep.errors import TooLargeError
from cellprep.system.starting import memory_limit

_SYSTEM = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_OF_CONTAINER = _GROUP / "memory.max"


def check_memory(needed: int, what: str) -> None:
    """Refuse data that cannot fit into memory: a few bytes of a file may claim any size.

    Parameters
    ----------
    needed
        Bytes that are needed at least.
    what
        Subject of the error message.

    Raises
    ------
    TooLargeError
        If the machine, the container or the process has less memory.

    Examples
    --------
    >>> check_memory(10**18, "its image, 10^9 x 10^9 pixels,")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    cellprep.errors.TooLargeError: its image, 10^9 x 10^9 pixels, needs 1,000,000,000.0 GB of memory, of which there ...
    """
    there_is = _memory()
    if there_is and needed > there_is:
        raise TooLargeError(f"{what} needs {needed / 1e9:,.1f} GB of memory, of which there are {there_is / 1e9:,.1f}")


def keep_freed_memory() -> None:
    """Make the C library reuse freed arrays, if it supports this setting.

    By default it returns them to the system after every image, and the system clears their pages again, which takes a
    fifth of a build's time. Use it only in processes that do nothing else.
    """
    trim_threshold, mmap_threshold = -1, -3  # as <malloc.h> of the GNU C library numbers them
    with suppress(OSError, AttributeError, TypeError):
        c_library = ctypes.CDLL(None)
        c_library.mallopt(trim_threshold, 1 << 28)
        c_library.mallopt(mmap_threshold, 1 << 25)


def hand_back_freed_memory() -> None:
    """Return all freed memory to the system now, if the C library supports it."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@cache  # called several times per image
def _memory() -> int | None:
    """Return the bytes of memory that this process can have at most, if known."""
    limits = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # "max" is not a number
        limits.append(int(_OF_CONTAINER.read_text()))
    if (limit := memory_limit()) is not None:
        limits.append(limit)
    return min(limits, default=None)


def available_memory(system: Path = _SYSTEM, group: Path = _GROUP) -> int | None:
    """Return the bytes of memory available to the machine or, if less, the container; None if unknown.

    Parameters
    ----------
    system
        File in which Linux describes the memory of the machine.
    group
        Folder in which Linux describes the memory of the container (control groups, version 2).
    """
    found = [available for available in (_of_system(system), _of_group(group)) if available is not None]
    return min(found, default=None)


def _of_system(path: Path) -> int | None:
    return None if (kilobytes := _entry(path, "MemAvailable:")) is None else kilobytes * 1024


def _of_group(folder: Path) -> int | None:
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        dropped = _entry(folder / "memory.stat", "inactive_file") or 0  # file cache, dropped when memory is short
        return None if limit == "max" else int(limit) - int(used) + dropped
    except (OSError, ValueError):
        return None


def _entry(path: Path, name: str) -> int | None:
    """Return the number after a word at the beginning of a line."""
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next((int(words[1]) for words in lines if words[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None
