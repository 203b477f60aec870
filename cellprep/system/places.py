"""Places of files and folders: paths of this machine, or URLs of what lies in an object store."""

import glob
import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from cellprep.errors import MissingExtraError, UsageError
from cellprep.text.wording import described

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
        If it is a URL of another kind, or neither.
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
        try:
            return Path(place)
        except TypeError:
            raise UsageError(f"a path must be a text or a Path, not {described(place)}") from None
    if is_remote(place):
        return place  # type: ignore[return-value]
    if scheme not in _SCHEMES:
        raise UsageError(f"{place}: URLs begin with {', '.join(f'{name}://' for name in _SCHEMES[:-1])} or memory://")
    try:
        from cellprep.system.cloud import open_url
    except ImportError as error:
        raise MissingExtraError(f"{scheme}://", "universal-pathlib and obstore", "cloud") from error
    return open_url(str(place))


def is_place(given: object) -> bool:
    """Return whether something is a path, or the URL of one, as a text or as `as_place` returned it."""
    return isinstance(given, (str, Path)) or hasattr(given, "joinpath")


def local_path(given: Any, name: str = "out") -> Path:
    """Return where a file or folder of this machine is; messages call it by the name.

    Raises
    ------
    UsageError
        If it is a URL, or no path.

    Examples
    --------
    >>> local_path(5)
    Traceback (most recent call last):
    cellprep.errors.UsageError: out is the int 5: give a path
    """
    if not is_place(given):
        advice = ", and options by their names, or as options=..." if is_dataclass(given) else ""
        raise UsageError(f"{name} is {described(given)}: give a path{advice}")
    scheme, slash, _ = str(given).partition(":/")
    if slash and scheme in _SCHEMES:
        raise UsageError(f"{name} is {given}: give a path of this machine")
    return Path(given)


def is_remote(place: object) -> bool:
    """Return whether a place that `as_place` returned was named by a URL."""
    return not isinstance(place, (str, Path))


def is_shared(place: object) -> bool:
    """Return whether other processes find the same at a place; what is in memory is of this one alone."""
    return not str(place).startswith("memory://")


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder; in an object store there are no folders, only what would be in them.

    Raises
    ------
    OSError
        If it cannot be listed; FileNotFoundError if there is no folder of this machine.
    """
    return list(_listed(folder)) if is_remote(folder) else os.listdir(folder)  # noqa: PTH208 - fast


def entries_in(folder: Path) -> dict[str, bool]:
    """Return the names of what lies in a folder, and whether each is a folder itself; raises as `names_in` does."""
    if is_remote(folder):
        return _listed(folder)
    with os.scandir(folder) as entries:
        return {entry.name: entry.is_dir() for entry in entries}


def matches(pattern: str) -> list[Path]:
    """Return the files that a path or URL with wildcards leads to, sorted.

    Raises
    ------
    UsageError, MissingExtraError
        As `as_place`.
    OSError
        If an object store cannot be asked.

    Examples
    --------
    >>> matches("nowhere/*.tif")
    []
    """
    place: Any = as_place(pattern)
    if not is_remote(place):
        found = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may begin anywhere
        return sorted(path for path in found if path.is_file())
    begin = pattern.partition("://")[0]
    files = (path for path, about in place.fs.glob(place.path, detail=True).items() if about["type"] == "file")
    return [as_place(f"{begin}://{path.lstrip('/')}") for path in sorted(files)]


def _listed(folder: Path) -> dict[str, bool]:
    """List what an object store has below a place: one request says of each name whether more is below it."""
    remote: Any = folder
    try:
        listed = remote.fs.ls(remote.path, detail=True)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(folder)) from error
    own = remote.path.strip("/")
    paths = ((about["name"].strip("/"), about["type"] == "directory") for about in listed)
    return {path.rpartition("/")[2]: is_folder for path, is_folder in paths if path != own}
