"""Output that appears only when it is complete: it is written under another name, then renamed."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cellprep.errors import OutputError
from cellprep.system.flushing import flush_below, flush_file, flush_names

FILES = ".cellprep-files"  # in every folder of output: the names of its files

_ZARR = "zarr.json"
_OF_SYSTEMS = frozenset({".ds_store", "thumbs.db", "desktop.ini"})  # created by operating systems


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
    """Flush a temporary file or folder to disk, then rename it to `out`.

    A folder gets a list of its files, so that it can be told from a folder with other files. Zarr data get none, as
    its readers would warn about the list.
    """
    if aside.is_dir():
        if not (aside / _ZARR).exists():
            (aside / FILES).write_text(json.dumps(files_in(aside), indent=0), encoding="utf-8")
        flush_below(aside)
    else:
        flush_file(aside)
    if out.is_dir():
        out.rmdir()
    aside.rename(out)
    flush_names(out.parent)


def files_in(folder: Path) -> list[str]:
    """Return the relative paths of the files in a folder, in order, without the list of them.

    A Zarr array counts as one file, and so does a link to a folder. Files of operating systems are left out.
    """
    names = []
    for top, folders, files in os.walk(folder):
        place = Path(top)
        if _ZARR in files and _is_array(place / _ZARR):
            folders.clear()
            found = [_ZARR]
        else:
            found = [*files, *(name for name in folders if (place / name).is_symlink())]
        names += [(place / name).relative_to(folder).as_posix() for name in found if name.lower() not in _OF_SYSTEMS]
    return sorted(name for name in names if name != FILES)


def _is_array(metadata: Path) -> bool:
    try:
        return bool(json.loads(metadata.read_bytes())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
