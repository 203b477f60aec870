"""Matching the images of a folder to the records of a source."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from cellprep.errors import ImageFileError, UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.orientation import Orientation
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.layouts.groups import is_tracked_truth
from cellprep.formats.names import is_image_folder, tracked_sequence
from cellprep.system.places import as_place, entries_in

_USUAL_FOLDERS = ("images", "train")


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Images of a source that were found automatically.

    Attributes
    ----------
    folder
        The first folder with an image of the source; None if there is none.
    others
        Other folders with different files for the source.
    unreadable
        Why existing folders could not be searched.
    """

    folder: ImageFolder | None = None
    others: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def find_images(source: Source) -> FoundImages:
    r"""Search the folders in which data sets usually keep the images of a source.

    These are, in this order: the files that the source names, relative to its own folder; the folder with the source's
    name without extension, or without ``_labels``; ``images`` and ``train``, in any case; other folders with typical
    names of image folders; for ``01_GT/SEG`` of the Cell Tracking Challenge the folder ``01``; the folder that contains
    the source. Files are matched to images by name only.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import open_source
    >>> with tempfile.TemporaryDirectory() as place:
    ...     csv = Path(place, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 2 14 2,6,5")
    ...     Path(place, "train").mkdir()
    ...     Path(place, "train", "a.png").touch()
    ...     find_images(open_source(csv)).folder.path.name
    'train'
    """
    if not source.in_files:
        return FoundImages()
    first: ImageFolder | None = None
    others, unreadable = [], []
    names = source.file_names
    for path, by_id in _places_of_images(source, bool(names)):
        try:
            is_above = path.resolve() == source.path.resolve().parent
            folder = ImageFolder(path, by_id=by_id, deep=not is_above)
            if first is None:
                has_any = any(folder.files_of(image_id, names.get(image_id, "")) for image_id in source.image_ids)
                first = folder if has_any else None
            elif any(_has_others(folder, first, image_id, names.get(image_id, "")) for image_id in source.image_ids):
                others.append(str(path))
        except ImageFileError as error:
            if not isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError, type(None))):
                unreadable.append(str(error))
    return FoundImages(first, tuple(others), tuple(unreadable))


def _has_others(folder: ImageFolder, first: ImageFolder, image_id: str, file_name: str) -> bool:
    """Return whether a folder has files of an image that are not those of another folder."""
    files = folder.files_of(image_id, file_name)
    return bool(files and set(files) - set(first.files_of(image_id, file_name)))


def _places_of_images(source: Source, tells_files: bool) -> Iterator[tuple[Path, bool]]:
    """Yield candidate folders, and whether their files may be found by image id."""
    path = source.path.resolve() if source.path.name in ("", "..") else source.path
    if tells_files:
        yield path.parent, False
    own = [name for name in dict.fromkeys((path.stem, path.stem.removesuffix("_labels"))) if name != path.name]
    yield from ((path.parent / name, True) for name in own)
    beside = list(_USUAL_FOLDERS)  # for a folder that may be entered but not listed
    with suppress(OSError):
        beside = [name for name, is_folder in sorted(entries_in(path.parent).items()) if is_folder]
    usual = [[name for name in beside if name.lower() == known] for known in _USUAL_FOLDERS]
    called = dict.fromkeys([*chain(*usual), *filter(is_image_folder, beside)])
    yield from ((path.parent / name, True) for name in called if name not in (*own, path.name))
    if is_tracked_truth(path.resolve().parts):
        yield path.resolve().parent.parent / tracked_sequence(path.resolve().parent.name)[0], True
    yield path.parent, True


def open_images(source: Source, path: Path | str | None) -> ImageFolder | None:
    """Open the folder of a source's images, if one is given.

    Raises
    ------
    ImageFileError
        If it cannot be read.
    UsageError
        If it is missing for a source that needs one.
    """
    if path is not None:
        return ImageFolder(as_place(path))
    if source.needs_images:
        raise UsageError(f"{source.name} {source.no_sizes}: give the image files (--images)")
    return None


def with_images(
    source: Source,
    folder: ImageFolder | None,
    orientation: Orientation | None = None,
    planes: StackOptions | None = None,
    *,
    for_sizes: bool = False,
) -> Iterator[ImageRecord | FaultyImage]:
    """Yield the images of a source, with their files if there is a folder; with `for_sizes` only if needed for sizes.

    Raises
    ------
    UsageError
        If planes are selected, and an image is not in a file.
    """
    for image in source.images():
        if isinstance(image, FaultyImage):
            yield image
            continue
        if folder is None or (for_sizes and not image.needs_shape):
            yield image.read_as(orientation, planes=planes)
            continue
        try:
            pixels = folder.find(image.image_id, image.file_name)
            yield replace(image, pixels=pixels).read_as(orientation, planes=planes)
        except ImageFileError as error:
            yield FaultyImage(image.image_id, str(error))
