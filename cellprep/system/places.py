"""Paths of local files and folders, and URIs of objects in object stores."""

import glob
import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from cellprep.errors import MissingExtraError, UsageError
from cellprep.text.wording import described

_SCHEMES = ("s3", "gs", "memory")


def as_place(place: Path | str) -> Path:
    """Return the path for a path or URL. For a URL it has the methods of a path but is not a `pathlib.Path`.

    Parameters
    ----------
    place
        A path, or a URL such as ``s3://bucket/data.zarr`` or ``gs://bucket/train.csv``. ``memory://`` is private to
        this process.

    Raises
    ------
    UsageError
        If it is a URL with another scheme, or neither a path nor a URL.
    MissingExtraError
        If it is a URL and the packages that read it are not installed.

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
            raise UsageError(f"a path must be a string or a Path, not {described(place)}") from None
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
    """Return whether a value is a path or URL, as a string or as returned by `as_place`."""
    return isinstance(given, (str, Path)) or hasattr(given, "joinpath")


def local_path(given: Any, name: str = "out") -> Path:
    """Return the path of a local file or folder, which messages call `name`.

    Raises
    ------
    UsageError
        If it is a URL or not a path.

    Examples
    --------
    >>> local_path(5)
    Traceback (most recent call last):
    cellprep.errors.UsageError: out is the int 5: give a path
    """
    if not is_place(given):
        advice = ", and options by name, or as options=..." if is_dataclass(given) else ""
        raise UsageError(f"{name} is {described(given)}: give a path{advice}")
    scheme, slash, _ = str(given).partition(":/")
    if slash and scheme in _SCHEMES:
        raise UsageError(f"{name} is {given}: give a local path")
    return Path(given)


def is_remote(place: object) -> bool:
    """Return whether a path returned by `as_place` came from a URL."""
    return not isinstance(place, (str, Path))


def is_shared(place: object) -> bool:
    """Return whether other processes see the same files at a path; memory is private to this process."""
    return not str(place).startswith("memory://")


def names_in(folder: Path) -> list[str]:
    """Return the names of the entries of a folder. Object stores have no folders, only common prefixes.

    Raises
    ------
    OSError
        If the folder cannot be listed; FileNotFoundError if a local folder does not exist.
    """
    return list(_listed(folder)) if is_remote(folder) else os.listdir(folder)  # noqa: PTH208 - fast


def entries_in(folder: Path) -> dict[str, bool]:
    """Return the names of a folder's entries, and whether each is a folder; raises as `names_in` does."""
    if is_remote(folder):
        return _listed(folder)
    with os.scandir(folder) as entries:
        return {entry.name: entry.is_dir() for entry in entries}


def matches(pattern: str) -> list[Path]:
    """Return the files that match a path or URL with wildcards, sorted.

    Raises
    ------
    UsageError, MissingExtraError
        As `as_place`.
    OSError
        If an object store cannot be reached.

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
    """List the entries of a folder in an object store: one request says which of them contain more."""
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
