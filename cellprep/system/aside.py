"""Output that appears only when it is complete: it is written under another name, then renamed."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError
from cellprep.system.flushing import flush_below, flush_file, flush_names


@contextmanager
def written_aside(out: Path) -> Iterator[Path]:
    """Provide a temporary path next to `out` to write to. If it still exists at the end, it is removed.

    Raises
    ------
    OutputError
        If `out` exists and is not an empty folder, or if the disk cannot be written to.
    """
    aside = out.parent / f".{out.name}.{secrets.token_hex(4)}.part"
    try:
        if out.is_symlink() or (out.exists() and not _is_empty_folder(out)):
            raise OutputError(f"{out} already exists and is not overwritten: move it, or choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        yield aside
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            aside.unlink()


def publish(aside: Path, out: Path) -> None:
    """Flush a temporary file or folder to disk, then rename it to `out`."""
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
