"""Locks on folders, so that only one process trains in each."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError, UsageError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder in this context.

    Raises
    ------
    UsageError
        If another process is training in it.
    OutputError
        If its parent folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    file = folder.parent / _lock_name(folder.name)
    lock = FileLock(file, timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UsageError(f"another process is training in {folder}: wait until it ends") from error
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        lock.release()


def refuse_held(folder: Path) -> None:
    """Refuse a folder, or one of several trainings in it, that another process is training in.

    Raises
    ------
    UsageError
        If there is such a process.
    """
    inner = [folder / file.name[1:].removesuffix(".lock") for file in folder.glob(_lock_name("*"))]
    for place in (folder, *inner):
        if (place.parent / _lock_name(place.name)).exists():
            with held(place):
                pass


def _lock_name(name: str) -> str:
    return f".{name}.lock"
