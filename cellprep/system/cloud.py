"""Object stores as file systems; only `cellprep.system.places` uses this module.

Opening a URL returns a path of the class registered for its scheme. A process that receives such a path therefore
knows the file systems, too.
"""

import atexit
import errno
import io
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, cast

import fsspec
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.fsspec import FsspecStore
from upath import UPath
from upath.implementations.cloud import GCSPath, S3Path
from upath.registry import register_implementation

_RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}

_SECONDS_TO_CLEAR_UP = 0.2


def _with_usual_errors(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make a method raise the same errors as file operations."""

    @wraps(method)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except BaseError as error:
            if isinstance(error, NotFoundError):
                raise FileNotFoundError(errno.ENOENT, "no such object") from error
            if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
                raise PermissionError(errno.EACCES, "Permission denied") from error
            raise OSError(errno.EIO, " ".join(str(error).partition("Debug source")[0].split())) from error

    return wrapped


class _ObjectStore(FsspecStore):
    """An object store that raises the same errors as files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, retry_config=_RETRIES, **kwargs)  # type: ignore[call-overload]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:  # type: ignore[override]
        """Open an object by fetching all of it: obstore's own file objects fail late and with confusing errors."""
        return io.BytesIO(self.cat_file(path)) if mode == "rb" else super()._open(path, mode, **kwargs)


for _method in ("_cat_file", "_info", "_ls", "_pipe_file", "_rm_file"):
    setattr(_ObjectStore, _method, _with_usual_errors(getattr(FsspecStore, _method)))


class _S3Store(_ObjectStore):
    protocol = "s3"


class _GSStore(_ObjectStore):
    protocol = "gs"


class S3Place(S3Path):
    """A path in Amazon S3 or a compatible object store."""


class GSPlace(GCSPath):
    """A path in Google Cloud Storage."""


for _store, _place in ((_S3Store, S3Place), (_GSStore, GSPlace)):
    fsspec.register_implementation(_store.protocol, _store, clobber=True)
    register_implementation(_store.protocol, _place, clobber=True)


def open_url(url: str) -> Path:
    """Return the path for a URL."""
    return cast("Path", UPath(url))


@atexit.register
def _let_requests_end() -> None:
    """Wait for obstore's threads, which clean up after the last response: exiting before they end aborts Python."""
    time.sleep(_SECONDS_TO_CLEAR_UP)
