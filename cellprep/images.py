"""Image files: found by the image's id, read to the layout of a store."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from cellprep.errors import ImageFileError
from cellprep.image_files import Identity, ImageFile, Pixels, all_finite, fitting, hash_of_pixels
from cellprep.image_formats import IMAGE_FORMATS, is_image_name
from cellprep.places import is_remote, names_in

__all__ = ["Identity", "ImageFile", "ImageFolder", "Pixels", "all_finite", "fitting", "hash_of_pixels"]


class ImageFolder:
    """A folder with one image file per id, ``<id>.png`` and the like, or ``<id>/images/<id>.png``.

    Ids may also be whole file names.

    Parameters
    ----------
    path
        The folder.
    by_id
        Whether a file may be found by its image's id, and not only where the source says that it is.

    Raises
    ------
    ImageFileError
        If it is no folder that can be read.
    """

    def __init__(self, path: Path, *, by_id: bool = True) -> None:
        self.path = path
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._foreign: dict[str, Path] = {}
        try:
            self._names = set(names_in(path))
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not self._names:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in (path / name for name in sorted(self._names) if by_id):
            if is_image_name(entry.name):
                self._files[entry.stem].append(entry)
            else:
                self._foreign[entry.stem] = entry
        self.by_id = by_id

    def find(self, image_id: str, file_name: str = "") -> ImageFile:
        """Find the file of an image.

        Parameters
        ----------
        image_id
            The image.
        file_name
            Where the file may be below the folder, if known.

        Raises
        ------
        ImageFileError
            If there is none, or more than one.
        """
        files = self.files_of(image_id, file_name)
        if len(files) != 1:
            raise ImageFileError(self.problem(image_id, files))
        return ImageFile(files[0])

    def problem(self, image_id: str, files: Sequence[Path]) -> str:
        """Say what is wrong if an image has none of these files, or more than one."""
        if files:
            return f"several image files have this id: {', '.join(map(str, files))}; keep one"
        if (foreign := self._foreign.get(image_id)) and (problem := ImageFile(foreign).format_problem()):
            return problem
        return f"there is no image file {image_id}.* in {self.path} ({', '.join(IMAGE_FORMATS)})"

    def files_of(self, image_id: str, file_name: str = "") -> list[Path]:
        """Return the files that may be an image's, of which there should be one; parameters as `find` has them."""
        told = Path(file_name)
        if file_name and not told.is_absolute() and ".." not in told.parts and self._has(told):
            return [self.path / told]
        files = self._files.get(image_id) or [
            file for file in self._files.get(Path(image_id).stem, []) if file.name == image_id
        ]
        return files or self._files_in_own_folder(image_id)

    def _has(self, file: Path) -> bool:
        """Return whether a file is below the folder; of an object store, asked only if the listing leaves it open."""
        if is_remote(self.path) and (len(file.parts) == 1 or file.parts[0] not in self._names):
            return file.name in self._names and len(file.parts) == 1
        with suppress(OSError):  # a name may be too long to be one
            return (self.path / file).is_file()
        return False

    def _files_in_own_folder(self, image_id: str) -> list[Path]:
        """Return the files of an image whose folder is its own, as the 2018 Data Science Bowl has them."""
        if not (self.by_id and image_id in self._names):
            return []
        own = self.path / image_id / "images"
        with suppress(OSError):
            files = [own / name for name in sorted(names_in(own))]
            return [file for file in files if file.stem == image_id and is_image_name(file.name)]
        return []

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of the files that belong to none of the images known."""
        names = set(known)
        return [
            file.name
            for stem, files in self._files.items()
            for file in files
            if stem not in names and file.name not in names
        ]
