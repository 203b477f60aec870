"""Image files: found by the image's id, read to the layout of a store."""

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.file_names import IMAGE_ENDS, is_foreign, is_mask_folder, without_image_end, without_mask_end
from cellprep.image_formats import IMAGE_FORMATS
from cellprep.image_ids import composed
from cellprep.places import is_remote, names_in

__all__ = ["ImageFile", "ImageFolder", "Pixels", "hash_of_pixels"]


class Pixels(Protocol):
    """An image, wherever it is kept; ``str`` of it names the place."""

    def sha256(self) -> str:
        """Return a hash of its content, in hex."""

    def decode(self) -> NDArray[Any]:
        """Return (H, W), or (C, H, W) for several channels."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file.

    Attributes
    ----------
    path
        Where it is.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """Read it whole.

        Raises
        ------
        ImageFileError
            If it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error

    def sha256(self) -> str:
        """Return the hash of its bytes, in hex."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error

    def decode(self) -> NDArray[Any]:
        """Decode the image.

        Returns
        -------
        ndarray
            (H, W), or (C, H, W) for several channels, in the file's own dtype. An alpha channel is left out,
            and grey stored as RGB becomes one channel.

        Raises
        ------
        ImageFileError
            If the file cannot be read, is damaged, or holds a stack.
        """
        decode = IMAGE_FORMATS.get(self.path.suffix.lower())
        if decode is None:
            raise ImageFileError(f"{self.path} is no image: its name must end in {', '.join(IMAGE_FORMATS)}")
        with self._opened() as stream:
            try:
                pixels = decode(stream)
            except ImageFileError as error:
                raise ImageFileError(f"{self.path}: {error}") from None
            except Exception as error:
                raise ImageFileError(f"{self.path} is damaged, or no image: {_one_line(error)}") from error
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))

    def _opened(self) -> IO[bytes]:
        """Open it where it is: a huge one is not to be in memory twice; through a network all comes at once."""
        try:
            stream = io.BytesIO(self.read()) if is_remote(self.path) else self.path.open("rb")
            is_empty = not stream.read(1)
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error
        if is_empty:
            stream.close()
            raise ImageFileError(f"{self.path} is empty")
        stream.seek(0)
        return stream


def hash_of_pixels(pixels: NDArray[Any]) -> str:
    """Return the SHA-256, in hex, of an image's values, shape and type."""
    return hashlib.sha256(f"{pixels.dtype.str} {pixels.shape} ".encode() + pixels.tobytes()).hexdigest()


class ImageFolder:
    """A folder with one image file per id, ``<id>.png`` and the like, or ``<id>/images/<id>.png``.

    Ids may also be whole file names, and names may end as those of images do: ``<id>_img.png``. What is not there is
    searched in the folders below, but for those of masks.

    Parameters
    ----------
    path
        The folder.
    by_id
        Whether a file may be found by its image's id, and not only where the source says that it is.
    deep
        Whether the folders below are searched.

    Raises
    ------
    ImageFileError
        If it is no folder that can be read.
    """

    def __init__(self, path: Path, *, by_id: bool = True, deep: bool = True) -> None:
        self.path = path
        self.deep = deep and by_id
        self._files: dict[str, list[Path]] = defaultdict(list)
        try:
            self._names = set(names_in(path))
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not self._names:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in (path / name for name in sorted(self._names) if by_id):
            if entry.suffix.lower() in IMAGE_FORMATS:
                self._files[composed(entry.stem)].append(entry)
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
        return f"there is no image file {image_id}.* in {self.path} ({', '.join(IMAGE_FORMATS)})"

    def files_of(self, image_id: str, file_name: str = "") -> list[Path]:
        """Return the files that may be an image's, of which there should be one; parameters as `find` has them."""
        told = Path(file_name)
        if file_name and not told.is_absolute() and ".." not in told.parts and self._has(told):
            return [self.path / told]
        name = composed(image_id)
        files = _called(self._files, name) or self._files_in_own_folder(image_id)
        return files or (_called(self._deeper, name) if self.deep else [])

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
            return [file for file in files if file.stem == image_id and file.suffix.lower() in IMAGE_FORMATS]
        return []

    @cached_property
    def _deeper(self) -> dict[str, list[Path]]:
        """The image files below the folder's folders, by their names without endings."""
        found = defaultdict(list)
        for folder, folders, names in () if is_remote(self.path) else os.walk(self.path):
            folders[:] = sorted(name for name in folders if not (is_foreign(name) or is_mask_folder(name)))
            for file in (Path(folder, name) for name in sorted(names) if Path(folder) != self.path):
                if file.suffix.lower() in IMAGE_FORMATS:
                    found[composed(file.stem)].append(file)
        return found

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of the files that belong to none of the images known."""
        names = set(known)
        return [
            file.name
            for stem, files in self._files.items()
            for file in files
            if not {stem, composed(file.name), without_image_end(stem)} & names and not self._is_mask(stem)
        ]

    def _is_mask(self, stem: str) -> bool:
        """Return whether a file is by its name the mask of another one in the folder."""
        image = without_mask_end(stem)
        return bool(image and _called(self._files, image))


def _called(files: dict[str, list[Path]], name: str) -> list[Path]:
    """Return the files of a name, which may be whole, or lack what says that they are images."""
    return (
        files.get(name)
        or [file for file in files.get(Path(name).stem, []) if composed(file.name) == name]
        or [file for end in IMAGE_ENDS for file in files.get(f"{name}{end}", [])]
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
