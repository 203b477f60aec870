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

    place = folder.resolve()  # one lock under every name
    file = place.parent / _lock_name(place.name)
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
    """Refuse a folder that another process is training in, directly or in a folder below it.

    Raises
    ------
    UsageError
        If there is such a process.
    """
    place = folder.resolve()
    for file in (place.parent / _lock_name(place.name), *place.rglob(_lock_name("*"))):
        if file.exists():
            with held(file.with_name(file.name[1:].removesuffix(".lock"))):
                pass


def _lock_name(name: str) -> str:
    return f".{name}.lock"
