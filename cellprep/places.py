"""Places of files and folders: paths of this machine, or URLs of what lies in an object store."""

import os
from pathlib import Path
from typing import Any

from cellprep.errors import MissingExtraError, UsageError

__all__ = ["as_place", "is_remote", "is_shared", "names_in"]

_SCHEMES = ("s3", "gs", "memory")


def as_place(place: Path | str) -> Path:
    """Return where a path or a URL leads: what it returns for a URL has the methods of a path, but is none.

    Parameters
    ----------
    place
        A path, or a URL such as ``s3://bucket/data.zarr`` or ``gs://bucket/train.csv``; ``memory://`` is of this
        process alone.

    Raises
    ------
    UsageError
        If it is a URL of another kind.
    MissingExtraError
        If it is a URL and what reads it is not installed.

    Examples
    --------
    >>> as_place("data.zarr").name
    'data.zarr'
    >>> as_place("ftp://host/data.zarr")
    Traceback (most recent call last):
    ...
    cellprep.errors.UsageError: ftp://host/data.zarr: URLs begin with s3://, gs:// or memory://
    """
    scheme, colon, _ = str(place).partition("://")
    if not colon:
        return Path(place)
    if is_remote(place):
        return place  # type: ignore[return-value]
    if scheme not in _SCHEMES:
        raise UsageError(f"{place}: URLs begin with {', '.join(f'{name}://' for name in _SCHEMES[:-1])} or memory://")
    try:
        from cellprep.cloud import open_url
    except ImportError as error:
        raise MissingExtraError(f"{scheme}://", "universal-pathlib and obstore", "cloud") from error
    return open_url(str(place))


def is_remote(place: object) -> bool:
    """Say whether a place that `as_place` returned was named by a URL."""
    return not isinstance(place, (str, Path))


def is_shared(place: object) -> bool:
    """Say whether other processes find the same at a place; what is in memory is of this one alone."""
    return not str(place).startswith("memory://")


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder; in an object store there are no folders, only what would be in them.

    Raises
    ------
    OSError
        If it cannot be listed; FileNotFoundError if there is no folder of this machine.
    """
    if not is_remote(folder):
        return os.listdir(folder)  # noqa: PTH208 - fast
    remote: Any = folder
    try:
        listed = remote.fs.ls(remote.path, detail=False)
    except FileNotFoundError:
        return []
    names = (path.rstrip("/").rpartition("/")[2] for path in listed if path.strip("/") != remote.path.strip("/"))
    return [name for name in names if name]
