"""What is in a folder: its files and folders in the order of their names."""

import hashlib
from collections.abc import Container, Iterable
from pathlib import Path

from cellprep.errors import SourceError

__all__ = ["entries_in", "files_in", "folders_in", "hash_of_listing"]


def entries_in(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what is hidden: systems put files of their own there."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error


def files_in(folder: Path, ends: Container[str]) -> list[Path]:
    """Return the files whose names end so, such as ``.png``."""
    return [entry for entry in entries_in(folder) if entry.suffix.lower() in ends]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder."""
    return [entry for entry in entries_in(folder) if entry.is_dir()]


def hash_of_listing(files: Iterable[Path], folder: Path) -> str:
    """Return the SHA-256, in hex, of the names and sizes of files; what is in them, the images' own hashes tell."""
    try:
        lines = [f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n" for file in files]
    except OSError as error:
        raise SourceError(f"cannot read {error.filename}: {error.strerror}") from error
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
