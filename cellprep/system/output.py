"""Output files that are complete or absent."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError
from cellprep.system.flushing import flush_file, flush_names


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Provide the path of a temporary file, which replaces `path` at the end.

    This also holds after a power loss: the content is on disk before the file gets its name.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file is then unchanged.
    """
    path = path.resolve()  # write through links, so that they remain links
    check_place(path)
    aside = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        yield aside
        flush_file(aside)
        aside.replace(path)
        flush_names(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    r"""Write a file atomically, as `whole_file` does.

    Text is encoded as UTF-8. Invalid characters, as in some file names, become escapes such as ``\udcff``.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file is then unchanged.
    """
    with whole_file(path) as aside:
        aside.write_bytes(content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, given by path relative to a folder, which is created."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files that a killed `write_whole` left next to a file; no other process may be writing."""
    for aside in folder.glob(f".{name}.{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            aside.unlink()


def free_name(path: Path) -> Path:
    """Return a path that does not exist yet, with a number from 2 appended to the name if needed."""
    number, free = 2, path
    while free.exists() or free.is_symlink():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def check_place(path: Path) -> None:
    """Refuse a path where no file can be written, before a long computation.

    Raises
    ------
    OutputError
        If the path exists and is not a file, or its folder does not exist.
    """
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a file")
        if not path.resolve().parent.is_dir():
            raise OutputError(f"cannot write {path}: the folder {path.parent} does not exist")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
