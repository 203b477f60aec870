"""Image files: found by the image's id, read to the layout of a store."""

from collections import defaultdict
from collections.abc import Collection
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

    Raises
    ------
    ImageFileError
        If it is no folder that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._foreign: dict[str, Path] = {}
        try:
            entries = sorted(path / name for name in names_in(path))
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not entries:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in entries:
            if is_image_name(entry.name):
                self._files[entry.stem].append(entry)
            else:
                self._foreign[entry.stem] = entry

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
        told = Path(file_name)
        with suppress(OSError):  # a name may be too long to be one
            if file_name and not told.is_absolute() and ".." not in told.parts and (self.path / told).is_file():
                return ImageFile(self.path / told)
        files = self._files.get(image_id) or [
            file for file in self._files.get(Path(image_id).stem, []) if file.name == image_id
        ]
        if not files:
            own = self.path / image_id / "images"  # as the 2018 Data Science Bowl has them
            files = [file for end in IMAGE_FORMATS if (file := own / f"{image_id}{end}").is_file()]
        if not files and (foreign := self._foreign.get(image_id)) and (problem := ImageFile(foreign).format_problem()):
            raise ImageFileError(problem)
        if not files:
            raise ImageFileError(f"there is no image file {image_id}.* in {self.path} ({', '.join(IMAGE_FORMATS)})")
        if len(files) > 1:
            raise ImageFileError(f"several image files have this id: {', '.join(map(str, files))}; keep one")
        return ImageFile(files[0])

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of the files that belong to none of the images known."""
        names = set(known)
        return [
            file.name
            for stem, files in self._files.items()
            for file in files
            if stem not in names and file.name not in names
        ]
