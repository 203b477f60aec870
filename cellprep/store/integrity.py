"""Checks that the files of an image are as cellprep wrote them, regardless of the values of its arrays."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from cellprep.errors import StoreError
from cellprep.store.arrays import array_additions, array_files, array_path
from cellprep.store.documents import CHECKSUM, additions, image_documents
from cellprep.store.image import StoredImage
from cellprep.store.metadata import IMAGE_KEYS, ours_of
from cellprep.system.files import entries_below, read_file

Shapes = dict[str, tuple[int, ...]]


def file_faults(image: StoredImage, shapes: Shapes) -> Iterator[tuple[str, str]]:
    """Yield the problems with the files of an image: changed metadata, and missing or extra files.

    Parameters
    ----------
    image
        The image; its metadata must be valid.
    shapes
        Shapes of the readable arrays, by name. Files of other arrays are ignored.

    Yields
    ------
    tuple of str
        The file, relative to the image's folder, and the problem.
    """
    metadata = image.metadata
    for file, document, added in _documents(image, shapes):
        if added is None:
            yield file, "is missing" if document is None else "was changed since cellprep wrote it"
    files = dict(_files_of(image.path))
    expected = {f"{group}zarr.json" for group in ("", "labels/", "labels/instances/")}
    for name in metadata.arrays:
        found = array_files(name, shapes[name]) if name in shapes else _possible_files(files, name)
        expected.update(found)
    for file in sorted(files.keys() - expected):
        if not any(path.startswith(file) for path in expected):  # folders of missing chunks are expected
            yield file, "was not written by cellprep"
    size = sum(files[file] for file in expected & files.keys() if not file.endswith("zarr.json"))
    if len(shapes) == len(metadata.arrays) and size != metadata.bytes:
        yield "zarr.json", f"`bytes` is {metadata.bytes}: the chunks of the arrays have {size} bytes"


def added_attributes(image: StoredImage, shapes: Shapes) -> Iterator[str]:
    """Yield attributes that other Zarr tools added to an image's groups and readable arrays, as ``file: key``."""
    found = [(file, added or []) for file, _, added in _documents(image, shapes)]
    for name in shapes:
        place = array_path(name)
        found.append((f"{place}/zarr.json", array_additions(image.path / place, name)))
    yield from (f"{file}: {key}" for file, added in found for key in added)


def _possible_files(files: Iterable[str], name: str) -> list[str]:
    """Return the files that may belong to an array of unknown shape."""
    pattern = re.compile(rf"{re.escape(array_path(name))}/(zarr\.json|c([./][0-9]+)+)")
    return [file for file in files if pattern.fullmatch(file)]


def has_all_bytes(image: StoredImage) -> bool:
    """Return whether metadata are unchanged and chunks have the recorded total size, which a power loss may have cut.

    Chunks are not read; their checksums reveal other damage when they are. The metadata must be valid.
    """
    try:
        shapes = {name: image.form(name)[0] for name in image.arrays}
        files = (file for name, shape in shapes.items() for file in islice(array_files(name, shape), 1, None))
        size = sum((image.path / file).stat().st_size for file in files)
        are_ours = all(added is not None for _, _, added in _documents(image, shapes))
        return size == image.metadata.bytes and are_ours
    except (StoreError, OSError):
        return False


def _documents(image: StoredImage, shapes: Shapes) -> Iterator[tuple[str, bytes | None, list[str] | None]]:
    """Yield the metadata file of each group, its content, and the additions of other tools (None if it was changed)."""
    metadata, ours = image.metadata, ours_of(image.attributes, IMAGE_KEYS)
    possible: list[int | None] = [None]
    if "image" in metadata.arrays:
        possible = [len(shapes["image"])] if "image" in shapes else [2, 3]
    guarded = CHECKSUM in ours
    wanted = [
        image_documents(image.id, ours, dimensions, metadata.pixel_size, guarded=guarded) for dimensions in possible
    ]
    for group in wanted[0]:
        file = (Path(group) / "zarr.json").as_posix()
        document = _read(image.path / file)
        compared = [] if document is None else [additions(document, documents[group]) for documents in wanted]
        added = next((added for added in compared if added is not None), None)
        if added and not guarded and any(key.startswith("attributes.cellprep.") for key in added):
            added = None  # one of the added keys may be the checksum
        yield file, document, added


def _read(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield every file with its size, and every empty folder with a trailing slash."""
    for entry in entries_below(folder):
        name = Path(entry.path).relative_to(folder).as_posix()
        if entry.is_dir(follow_symlinks=False):
            yield f"{name}/", 0
        else:
            yield name, entry.stat(follow_symlinks=False).st_size
