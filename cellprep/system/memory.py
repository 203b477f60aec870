"""The memory that there is, and that is free, so that what cannot fit is refused before it takes all of it."""

import os
from contextlib import suppress
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
