"""Writing a file or a folder aside, so that whoever looks finds it whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError
from cellprep.system.flushing import flush_below, flush_file, flush_names


@contextmanager
def written_aside(out: Path) -> Iterator[Path]:
    """Give the path of something to be made beside `out`; what is still there at the end is removed.

    Raises
    ------
    OutputError
        If something is in the place of `out` already, but for an empty folder; or if the disk takes no more.
    """
    aside = out.parent / f".{out.name}.{secrets.token_hex(4)}.part"
    try:
        if out.is_symlink() or (out.exists() and not _is_empty_folder(out)):
            raise OutputError(f"{out} exists: it is left alone; move it away, or choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        yield aside
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            aside.unlink()


def publish(aside: Path, out: Path) -> None:
    """Move what was written aside into its place, when it is on the disk."""
    if aside.is_dir():
        flush_below(aside)
    else:
        flush_file(aside)
    if out.is_dir():
        out.rmdir()
    aside.rename(out)
    flush_names(out.parent)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
