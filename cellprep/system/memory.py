"""The memory that there is, and that is free: what cannot fit is refused, and what is freed is used again."""

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
    """Refuse what cannot fit into memory: a few bytes of a file may claim any size.

    Parameters
    ----------
    needed
        Bytes, at least.
    what
        What needs them, as the beginning of a sentence.

    Raises
    ------
    TooLargeError
        If the machine, the container or the process may have less.

    Examples
    --------
    >>> check_memory(10**18, "its image, 10^9 x 10^9 pixels,")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    cellprep.errors.TooLargeError: its image, 10^9 x 10^9 pixels, takes 1,000,000,000.0 GB of memory: there are ...
    """
    there_is = _memory()
    if there_is and needed > there_is:
        raise TooLargeError(f"{what} takes {needed / 1e9:,.1f} GB of memory: there are {there_is / 1e9:,.1f}")


def keep_freed_memory() -> None:
    """Let the C library use freed arrays again, where it can be told so.

    Else it hands them back after every image, and the system clears each of their pages once more: a fifth of the
    time of a build. It is for processes that do nothing else.
    """
    trim_threshold, mmap_threshold = -1, -3  # as <malloc.h> of the GNU C library numbers them
    with suppress(OSError, AttributeError, TypeError):
        c_library = ctypes.CDLL(None)
        c_library.mallopt(trim_threshold, 1 << 28)
        c_library.mallopt(mmap_threshold, 1 << 25)


def hand_back_freed_memory() -> None:
    """Hand all freed arrays back to the system now, where the C library can be told so."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@cache  # it is asked for several times an image
def _memory() -> int | None:
    """Return the bytes that this process can have at most, if the system tells."""
    limits = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # "max" is no number
        limits.append(int(_OF_CONTAINER.read_text()))
    if (limit := memory_limit()) is not None:
        limits.append(limit)
    return min(limits, default=None)


def available_memory(system: Path = _SYSTEM, group: Path = _GROUP) -> int | None:
    """Return the bytes that are available: of the machine, or of the container if that is less; None if unknown.

    Parameters
    ----------
    system
        The file in which Linux describes the machine's memory.
    group
        The folder in which it describes the container's (version 2 of control groups).
    """
    found = [available for available in (_of_system(system), _of_group(group)) if available is not None]
    return min(found, default=None)


def _of_system(path: Path) -> int | None:
    return None if (kilobytes := _entry(path, "MemAvailable:")) is None else kilobytes * 1024


def _of_group(folder: Path) -> int | None:
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        dropped = _entry(folder / "memory.stat", "inactive_file") or 0  # when memory is short: what was read lately
        return None if limit == "max" else int(limit) - int(used) + dropped
    except (OSError, ValueError):
        return None


def _entry(path: Path, name: str) -> int | None:
    """Return the number that follows a word at the beginning of a line."""
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next((int(words[1]) for words in lines if words[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None
