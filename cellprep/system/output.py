"""Files that a command leaves behind: whole or not at all."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError
from cellprep.system.flushing import flush_file, flush_names


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write beside `path`, which takes its place at the end: the old one or all of the new.

    That holds of a power loss, too: its content is on the disk before it has its name.

    Raises
    ------
    OutputError
        If it cannot be written; what was there is then still there.
    """
    path = path.resolve()  # through links, so that they stay links
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
    r"""Write a file as `whole_file` does.

    A text is written in UTF-8. What is no text, as in the names of some files, becomes an escape such as ``\udcff``.

    Raises
    ------
    OutputError
        If it cannot be written; what was there is then still there.
    """
    with whole_file(path) as aside:
        aside.write_bytes(content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their paths in a folder, which is made."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what `write_whole` left beside files of that name when it was killed; nobody may be writing them."""
    for aside in folder.glob(f".{name}.{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            aside.unlink()


def free_name(path: Path) -> Path:
    """Return a path; if it is taken, with the first number behind its name, from 2 on, that makes it free."""
    number, free = 2, path
    while free.exists() or free.is_symlink():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def check_place(path: Path) -> None:
    """Refuse a place where no file can be, before long work is done for it.

    Raises
    ------
    OutputError
        If something is there that is no file, or there is no folder for it.
    """
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: something is there that is no file")
        if not path.resolve().parent.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
