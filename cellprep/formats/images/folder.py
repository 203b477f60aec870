"""Folders of image files, searched by image id."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path

from cellprep.errors import ImageFileError
from cellprep.formats.images import IMAGE_FORMATS, is_image_name
from cellprep.formats.images.file import ImageFile, images_of_scenes, may_have_scenes, name_before_scene
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.names import (
    IMAGE_ENDS,
    IMAGE_STARTS,
    MASK_ENDS,
    is_foreign,
    is_image_folder,
    is_mask_folder,
    is_output,
    without_image_end,
    without_mask_end,
    without_mask_start,
)
from cellprep.formats.ome_zarr.finding import ome_zarr_images
from cellprep.formats.ome_zarr.multiscale import OMEZarrPixels
from cellprep.store.image_ids import composed
from cellprep.system.files import walk
from cellprep.system.places import entries_in, is_remote


class ImageFolder:
    """A folder with one image file per id, such as ``<id>.png``, or ``<id>/images/<id>.png``.

    Ids may also be complete file names, and names may have a suffix for images: ``<id>_img.png``. Missing files are
    searched in subfolders, except those of masks. A file with several scenes provides an image ``<id>_<scene>`` for
    each. Other ids may be OME-Zarr images, including those of plates.

    Parameters
    ----------
    path
        The folder.
    by_id
        Whether to find files by id, and not only by the file names in the source.
    deep
        Whether to search subfolders.

    Raises
    ------
    ImageFileError
        If it is not a readable folder.
    """

    def __init__(self, path: Path, *, by_id: bool = True, deep: bool = True) -> None:
        self.path = path
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._foreign: dict[str, Path] = {}
        try:
            self._entries = entries_in(path)
        except NotADirectoryError as error:
            raise ImageFileError(f"{path} is a file: give the folder that contains the images") from error
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not self._entries:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in (path / name for name in sorted(self._entries) if by_id):
            if is_image_name(entry.name):
                self._files[composed(entry.stem)].append(entry)
            else:
                self._foreign[composed(entry.stem)] = entry
        self._scenes: dict[Path, dict[str, ImageFile]] = {}
        self.by_id = by_id
        self._is_deep = by_id and deep

    def find(self, image_id: str, file_name: str = "") -> ImageFile | OMEZarrPixels:
        """Find an image.

        Parameters
        ----------
        image_id
            The image.
        file_name
            Path of the file relative to the folder, if known.

        Raises
        ------
        ImageFileError
            If there is no such file, or more than one.
        """
        files = self.files_of(image_id, file_name)
        if len(files) != 1:
            raise ImageFileError(self.problem(image_id, files, file_name))
        return self.pixels(image_id, files[0])

    def pixels(self, image_id: str, place: Path) -> ImageFile | OMEZarrPixels:
        """Return an image at a path returned by `files_of`."""
        if not is_image_name(place.name) and place.is_dir():
            return OMEZarrPixels(place, StackOptions())
        return self._scenes.get(place, {}).get(composed(image_id)) or ImageFile(place)

    def problem(self, image_id: str, files: Sequence[Path], file_name: str = "") -> str:
        """Return the problem of an image with none of these files, or more than one."""
        if files:
            return f"several image files have this id: {', '.join(map(str, files))}; keep one"
        if (foreign := self._foreign.get(composed(image_id))) and (problem := ImageFile(foreign).format_problem()):
            return problem
        name = file_name if file_name and composed(Path(file_name).stem) != composed(image_id) else f"{image_id}.*"
        return f"there is no image file {name} in {self.path} ({', '.join(IMAGE_FORMATS)})"

    def files_of(self, image_id: str, file_name: str = "") -> list[Path]:
        """Return the candidate files of an image, of which there should be exactly one; parameters as for `find`."""
        told = Path(file_name)
        if file_name and not told.is_absolute() and ".." not in told.parts and self._has(told):
            return [self.path / told]
        name = composed(image_id)
        files = _called(self._files, name) or self._files_in_own_folder(name) or self._find_deeper(name, told)
        return files or self._files_of_scene(name) or self._in_zarr.get(name, [])

    def _files_of_scene(self, name: str) -> list[Path]:
        """Return the files with the scene of an id, which begins with the file's name."""
        return [file for file in self._may_have_scenes if name in self._scenes_among(file, [name])]

    @cached_property
    def _may_have_scenes(self) -> dict[Path, str]:
        """Files that may have scenes, and the beginning of their ids."""
        files = chain(*self._files.values(), *self._deeper.values()) if self.by_id else ()
        return {file: f"{name_before_scene(file)}_" for file in files if may_have_scenes(file)}

    def _scenes_among(self, file: Path, names: Iterable[str]) -> dict[str, ImageFile]:
        """Return the scenes of a file by id, if one of the names may be that of a scene."""
        start = self._may_have_scenes.get(file)
        if start is None or not any(name.startswith(start) for name in names):
            return {}
        if file not in self._scenes:
            self._scenes[file] = images_of_scenes(ImageFile(file))
        return self._scenes[file]

    @cached_property
    def _in_zarr(self) -> dict[str, list[Path]]:
        """OME-Zarr images in the folder and its subfolders, by id."""
        if not self._is_deep:
            return {}
        return {composed(name): paths for name, paths in ome_zarr_images(self.path).items()}

    def _has(self, file: Path) -> bool:
        """Return whether a file is below the folder; object stores are queried only if the listing is inconclusive."""
        if is_remote(self.path) and (len(file.parts) == 1 or file.parts[0] not in self._entries):
            return file.name in self._entries and len(file.parts) == 1
        with suppress(OSError):  # a name may be too long
            return (self.path / file).is_file()
        return False

    def _files_in_own_folder(self, image_id: str) -> list[Path]:
        """Return the files of an image with its own folder, as in the 2018 Data Science Bowl."""
        found = []
        with suppress(OSError):
            for own in [self.path / name for name in self._folders.get(image_id, [])]:
                for images in [own / name for name in sorted(entries_in(own)) if is_image_folder(name)]:
                    found += [images / name for name in sorted(entries_in(images))]
        return [file for file in found if composed(file.stem) == image_id and is_image_name(file.name)]

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        """Direct subfolders, by name."""
        found = defaultdict(list)
        for name, is_folder in sorted(self._entries.items()):
            if is_folder and self.by_id:
                found[composed(name)].append(name)
        return found

    def _find_deeper(self, name: str, told: Path) -> list[Path]:
        """Return candidate files of an image in subfolders; only those at the path `told`, if there are any."""
        end = tuple(map(composed, told.parts))
        return [
            file
            for file in self._deeper.get(composed(told.stem), [])
            if tuple(map(composed, file.parts[-len(end) :])) == end
        ] or _called(self._deeper, name)

    @cached_property
    def _deeper(self) -> dict[str, list[Path]]:
        """Image files in subfolders, by name without extension."""
        found = defaultdict(list)
        try:
            walked = walk(self.path, _holds_no_images) if self._is_deep else []
        except OSError as error:
            problem = f"cannot read the image folder {error.filename or self.path}: {error.strerror}"
            raise ImageFileError(problem) from error
        for folder in walked:
            for file in (folder.path / name for name in folder.files if folder.parts and is_image_name(name)):
                found[composed(file.stem)].append(file)
        return found

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of files that belong to none of the known images."""
        names = set(map(composed, known))
        others = []
        for stem, files in self._files.items():
            for file in files:
                scenes = self._scenes_among(file, names)
                if scenes.keys() & names:
                    others += [f"{file.name}: {scene.planes}" for name, scene in scenes.items() if name not in names]
                elif not {stem, composed(file.name), without_image_end(stem)} & names and not self._is_mask(stem):
                    others.append(file.name)
        return others

    def _is_mask(self, stem: str) -> bool:
        """Return whether a file is the mask of another file in the folder, by its name."""
        image = without_mask_end(stem)
        if image is None and not any(f"{stem}{end}" in self._files for end in MASK_ENDS):
            image = without_mask_start(stem)
        return image is not None and bool(_called(self._files, image))


def _holds_no_images(name: str) -> bool:
    return is_foreign(name) or is_mask_folder(name) or is_output(name)


def _called(files: dict[str, list[Path]], name: str) -> list[Path]:
    """Return the files of a name, which may be complete, or without a suffix for images."""
    return (
        files.get(name)
        or [file for file in files.get(Path(name).stem, []) if composed(file.name) == name]
        or [file for end in IMAGE_ENDS for file in files.get(f"{name}{end}", [])]
        or [file for start in IMAGE_STARTS for file in files.get(f"{start}{name}" if name else start[:-1], [])]
    )
