"""Whether the files of an image are those that cellprep wrote, whatever its arrays hold."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from cellprep.errors import StoreError
from cellprep.store.arrays import array_files, array_path
from cellprep.store.documents import CHECKSUM, image_documents
from cellprep.store.reader import StoredImage
from cellprep.system.files import entries_below, read_file

Shapes = dict[str, tuple[int, ...]]


def file_faults(folder: Path, attributes: dict[str, Any], shapes: Shapes) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the files of an image: its groups' metadata, and what lies beside them.

    Parameters
    ----------
    folder
        The image's folder.
    attributes
        What it says of itself, in the right form.
    shapes
        Of the arrays that can be read, by name. Files of the others are not spoken of.

    Yields
    ------
    tuple of str
        The file, relative to the folder, and the fault.
    """
    yield from _document_faults(folder, attributes, shapes)
    files = dict(_files_of(folder))
    expected = {f"{group}zarr.json" for group in ("", "labels/", "labels/instances/")}
    for name in attributes["arrays"]:
        found = array_files(name, shapes[name]) if name in shapes else _possible_files(files, name)
        expected.update(found)
    for file in sorted(files.keys() - expected):
        if not any(path.startswith(file) for path in expected):  # the folder of a chunk that is lost
            yield file, "cellprep did not put it there"
    size = sum(files[file] for file in expected & files.keys() if not file.endswith("zarr.json"))
    if len(shapes) == len(attributes["arrays"]) and size != attributes["bytes"]:
        yield "zarr.json", f"`bytes` is {attributes['bytes']}: the chunks of the arrays have {size}"


def _possible_files(files: Iterable[str], name: str) -> list[str]:
    """Return which of some files may hold an array of whatever shape."""
    pattern = re.compile(rf"{re.escape(array_path(name))}/(zarr\.json|c([./][0-9]+)+)")
    return [file for file in files if pattern.fullmatch(file)]


def has_all_bytes(image: StoredImage) -> bool:
    """Return whether an image's metadata are as written and its chunks as long, which a power loss may have cut.

    Chunks are not read: whoever does so finds by their checksums what else is wrong. The attributes must be in the
    right form.
    """
    try:
        shapes = {name: image.form(name)[0] for name in image.arrays}
        files = (file for name, shape in shapes.items() for file in islice(array_files(name, shape), 1, None))
        size = sum((image.path / file).stat().st_size for file in files)
        return size == image.attributes["bytes"] and not any(_document_faults(image.path, image.attributes, shapes))
    except (StoreError, OSError):
        return False


def _document_faults(folder: Path, attributes: dict[str, Any], shapes: Shapes) -> Iterator[tuple[str, str]]:
    places = {".": folder, "labels": folder / "labels", "labels/instances": folder / "labels/instances"}
    found = {group: _read(place / "zarr.json") for group, place in places.items()}
    possible: list[int | None] = [None]
    if "image" in attributes["arrays"]:
        possible = [len(shapes["image"])] if "image" in shapes else [2, 3]
    size = attributes["pixel_size"]
    guarded = CHECKSUM in attributes
    wanted = [image_documents(folder.name, attributes, dimensions, size, guarded=guarded) for dimensions in possible]
    for group, document in found.items():
        if document not in [documents[group] for documents in wanted]:
            fault = "is missing" if document is None else "is not as cellprep wrote it"
            yield (Path(group) / "zarr.json").as_posix(), fault


def _read(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield every file with its size, and every empty folder with a slash at its end."""
    for entry in entries_below(folder):
        name = Path(entry.path).relative_to(folder).as_posix()
        if entry.is_dir(follow_symlinks=False):
            yield f"{name}/", 0
        else:
            yield name, entry.stat(follow_symlinks=False).st_size
