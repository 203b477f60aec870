"""Contents of a folder: files and folders, sorted by name."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cellprep.errors import SourceError
from cellprep.formats.names import is_foreign
from cellprep.store.image import read_attributes
from cellprep.system.files import Folder, ask_all
from cellprep.system.files import walk as walk_files


def walk(folder: Path, deepest: int | None = None) -> list[Folder]:
    """Return a folder and its subfolders, without hidden and foreign entries, which operating systems create.

    Raises
    ------
    SourceError
        If a folder cannot be read.
    """
    try:
        return walk_files(folder, is_foreign) if deepest is None else walk_files(folder, is_foreign, deepest)
    except OSError as error:
        raise SourceError(f"cannot read {error.filename or folder}: {error.strerror}") from error


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store of cellprep, complete or not."""
    return "schema_version" in read_attributes(folder)


def hash_of_listing(files: Iterable[Path], folder: Path) -> str:
    """Return the SHA-256, in hex, of the names and sizes of files, as the images' own hashes cover the contents."""
    files = list(files)
    sizes = ask_all(folder, _size, files)
    lines = [f"{file.relative_to(folder).as_posix()} {size}\n" for file, size in zip(files, sizes, strict=True)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _size(file: Path) -> str:
    """Return a file's size in bytes; ``-`` if it does not exist, as for a broken link, which its image reports."""
    try:
        return str(file.stat().st_size)
    except OSError:
        return "-"
