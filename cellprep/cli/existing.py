"""Existing output of commands: refused by default, or replaced on request."""

import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cellprep.errors import OutputError, UsageError
from cellprep.system.aside import FILES, files_in
from cellprep.system.locks import refuse_held
from cellprep.system.places import is_place, is_remote

RUN = "run.json"  # in the folder of a training, of `train all` and of `finetune`
MAPS_KEY = "cellprep-maps"  # in the attributes of predicted maps
PICTURES = ""  # no mark: a folder of pictures contains nothing else


def refuse_read(places: Iterable[Path], read: Iterable[Any]) -> None:
    """Refuse to write to an input file, under any name.

    Raises
    ------
    UsageError
        If an output path is an input.
    """
    inputs = [Path(place) for place in read if is_place(place) and not is_remote(place)]
    for path in places:
        if _is_there(path) and any(_is_there(place) and path.samefile(place) for place in inputs):
            raise UsageError(f"--out {path} is the input file: choose another file")


def refuse_existing(places: Iterable[Path]) -> None:
    """Refuse to write to an existing path.

    Raises
    ------
    OutputError
        If there is a file, or a folder that is not empty.
    """
    for path in filter(_is_taken, places):
        raise OutputError(f"{path} already exists: replace it with --overwrite, or choose another path")


@contextmanager
def replaced(places: Iterable[Path], read: Iterable[Any], mark: str = FILES) -> Iterator[None]:
    """Replace existing output: move a folder aside, and restore it unless a new one takes its place.

    A file stays, as commands replace it when the new one is complete.

    Parameters
    ----------
    places
        The output paths.
    read
        The inputs, which must not be in these folders; values other than paths and globs are skipped.
    mark
        The file that marks a folder as output: `RUN`, or `FILES`, which also names its files; or `PICTURES`.

    Raises
    ------
    UsageError
        If a folder contains an input, was not written by a command, contains other files, or is in use by a training.
    OutputError
        If a folder cannot be moved.
    """
    folders = [path for path in places if _is_taken(path) and path.is_dir()]
    local = [str(place) for place in read if is_place(place) and not is_remote(place)]
    matched = [one for place in local if glob.has_magic(place) for one in glob.glob(place, recursive=True)]  # noqa: PTH207
    inputs = [Path(place).resolve() for place in (*local, *matched)]
    for folder in folders:
        _refuse_foreign(folder, inputs, mark)
        _refuse_content(folder, mark)
        refuse_held(folder)
    moved: dict[Path, Path] = {}
    try:
        for folder in folders:
            aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
            try:
                moved[folder] = folder.rename(aside)
            except OSError as error:
                raise OutputError(f"cannot replace {folder}: {error.strerror or error}") from error
        yield
    finally:
        for folder, aside in moved.items():
            if _is_taken(folder):
                shutil.rmtree(aside, ignore_errors=True)
            elif aside.exists():
                with suppress(OSError):
                    folder.rmdir()  # made, but nothing is in it
                aside.rename(folder)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long, which is reported on writing
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder."""
    return _is_there(path) and path.is_dir()


def _is_taken(path: Path) -> bool:
    return _is_there(path) and not (path.is_dir() and not any(path.iterdir()))


def _refuse_foreign(folder: Path, inputs: Iterable[Path], mark: str) -> None:
    """Refuse to replace a folder that was not written by a command."""
    own = folder.resolve()
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link to a folder, which --overwrite does not replace: give the folder itself")
    if any(place.is_relative_to(own) for place in (Path.cwd(), Path.home())):
        raise UsageError(f"{folder} contains the working directory or your home directory: choose another --out")
    if within := [place for place in inputs if place.exists() and place.is_relative_to(own)]:
        raise UsageError(f"the input {within[0]} is in {folder}: choose another --out")
    if (zarr := folder / "zarr.json").exists():
        if mark != FILES or MAPS_KEY not in zarr.read_text(encoding="utf-8", errors="replace"):
            raise UsageError(f"{folder} is a store or other Zarr data: remove it yourself, or choose another path")
    elif mark and not (folder / mark).is_file():
        raise UsageError(
            f"{folder} has no {mark}, so that it may contain other files: remove it yourself, or choose another path"
        )


def _refuse_content(folder: Path, mark: str) -> None:
    """Refuse to replace a folder with a store, or with files that no command wrote; a run is not examined."""
    from cellprep.store.metadata import attributes_in

    names = files_in(folder)
    for name in sorted(names, key=lambda name: name.count("/")):
        if name.endswith("/zarr.json") and attributes_in((folder / name).read_bytes()):
            raise UsageError(f"{(folder / name).parent} is a store: remove it yourself, or choose another path")
    if mark == RUN or "zarr.json" in names:
        return
    if mark == PICTURES:
        others = [name for name in names if not name.lower().endswith(".png")]
    else:
        others = sorted({*names}.difference(map(str, _listed(folder / mark))))
    if others:
        raise UsageError(f"{folder / others[0]} is not output of this command: move it, or choose another path")


def _listed(file: Path) -> list[str]:
    damaged = f"{file} is damaged: remove {file.parent} yourself, or choose another path"
    try:
        names = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(damaged) from error
    if not isinstance(names, list):
        raise UsageError(damaged)
    return names


def is_first_process() -> bool:
    """Return whether this is the only process, or the first of several in a training: the one that writes."""
    return os.environ.get("RANK", "0") == "0"
