"""Image files: found by the image's id, read to the layout of a store."""

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.image_formats import IMAGE_FORMATS
from cellprep.image_ids import composed
from cellprep.places import is_remote, names_in

__all__ = ["ImageFile", "ImageFolder", "Pixels", "hash_of_pixels"]

_NOT_OF_IMAGES = {"label", "labels", "mask", "masks"}  # folders whose files are called as images are


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

    Ids may also be whole file names. What is not there is searched in the folders below.

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
        try:
            entries = sorted(path / name for name in names_in(path))
        except OSError as error:
            raise ImageFileError(f"cannot read the image folder {path}: {error.strerror}") from error
        if is_remote(path) and not entries:
            raise ImageFileError(f"there is no image folder {path}")
        for entry in entries:
            if entry.suffix.lower() in IMAGE_FORMATS:
                self._files[composed(entry.stem)].append(entry)

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
            file for file in self._files.get(Path(image_id).stem, []) if composed(file.name) == image_id
        ]
        if not files:
            own = self.path / image_id / "images"  # as the 2018 Data Science Bowl has them
            files = [file for end in IMAGE_FORMATS if (file := own / f"{image_id}{end}").is_file()]
        files = files or self._find_deeper(image_id, told)
        if not files:
            name = file_name if file_name and told.stem != image_id else f"{image_id}.*"
            raise ImageFileError(f"there is no image file {name} in {self.path} ({', '.join(IMAGE_FORMATS)})")
        if len(files) > 1:
            raise ImageFileError(f"several image files have this id: {', '.join(map(str, files))}; keep one")
        return ImageFile(files[0])

    def _find_deeper(self, image_id: str, told: Path) -> list[Path]:
        """Return the files below the folder's folders that may be an image's; where told, of these those alone."""
        files = self._deeper.get(image_id, [])
        end = tuple(map(composed, told.parts))
        return [
            file
            for file in self._deeper.get(composed(told.stem), [])
            if tuple(map(composed, file.parts[-len(end) :])) == end
        ] or files

    @cached_property
    def _deeper(self) -> dict[str, list[Path]]:
        """The image files below the folder's folders, by their names without endings."""
        found = defaultdict(list)
        for folder, folders, names in () if is_remote(self.path) else os.walk(self.path):
            folders[:] = sorted(name for name in folders if name.lower() not in _NOT_OF_IMAGES)
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
            if stem not in names and composed(file.name) not in names
        ]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
