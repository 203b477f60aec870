"""How much memory this process may still take."""

from pathlib import Path

_SYSTEM = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


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
