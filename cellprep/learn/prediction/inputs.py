"""The images that are to be predicted: files, folders, globs and stores, as images by their ids."""

import glob
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.annotations.cellprep_store import CellprepStore, StoredPixels
from cellprep.annotations.listing import files_in
from cellprep.annotations.record import FaultyImage
from cellprep.errors import CellprepError, ImageFileError
from cellprep.image_formats import IMAGE_FORMATS, is_image_name
from cellprep.image_ids import id_problem
from cellprep.images import ImageFile, Pixels
from cellprep.learn.windowed import WindowedArray
from cellprep.places import as_place
from cellprep.store import StoredImage
from cellprep.wording import printable

__all__ = ["InputImage", "find_images"]


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to predict.

    Attributes
    ----------
    id
        Its name: that of its file without the end, or that in its store.
    pixels
        Where it is; None if it cannot be predicted:
    problem
        Why.
    """

    id: str
    pixels: Pixels | None
    problem: str = ""

    def load(self) -> Any:
        """Return it as (C, H, W): an array, or for a huge image in a store what reads no more than is asked for.

        Raises
        ------
        CellprepError
            If it cannot be predicted, or read.
        """
        if self.pixels is None:
            raise CellprepError(self.problem)
        if isinstance(self.pixels, StoredPixels) and (image := StoredImage(self.pixels.path)).is_huge:
            return WindowedArray.of_pixels(image)
        pixels = self.pixels.decode()
        return pixels if pixels.ndim == 3 else pixels[None]


def find_images(places: Iterable[Path | str]) -> list[InputImage]:
    """Find images, in the order of the places; within a folder, a glob or a store in that of their names.

    Parameters
    ----------
    places
        Files, folders of files, stores, and globs such as ``plate-*/*.tif``, where ``**`` stands for any folders.

    Raises
    ------
    ImageFileError
        If there is nothing at a place.
    CellprepError
        If a folder or store cannot be read.
    """
    found = [image for place in places for image in _find(str(place))]
    paths: dict[str, list[str]] = defaultdict(list)
    for image in found:
        if str(image.pixels) not in paths[image.id]:
            paths[image.id].append(str(image.pixels))
    images = {image.id: image for image in found}  # the same file may be named twice
    return [_checked(image, paths[image.id]) for image in images.values()]


def _find(place: str) -> list[InputImage]:
    path = as_place(place)
    if path.is_dir():
        images = _of_store(path) if CellprepStore.recognises(path) else _of_files(_images_in(path))
        nothing = f"{printable(place)} holds no image ({', '.join(IMAGE_FORMATS)})"
    elif path.exists():
        return _of_files([path])
    else:
        matches = sorted(glob.glob(place, recursive=True))  # noqa: PTH207 - patterns may begin anywhere
        images = _of_files(file for file in map(Path, matches) if file.is_file())
        nothing = f"there is no image {printable(place)}"
    if not images:
        raise ImageFileError(nothing)
    return images


def _images_in(folder: Path) -> list[Path]:
    return [file for file in files_in(folder, IMAGE_FORMATS) if is_image_name(file.name)]


def _of_files(paths: Iterable[Path]) -> list[InputImage]:
    return [InputImage(path.stem, ImageFile(path)) for path in paths]


def _of_store(path: Path) -> list[InputImage]:
    return [
        InputImage(record.image_id, None, record.problem)
        if isinstance(record, FaultyImage)
        else InputImage(record.image_id, record.pixels, "" if record.pixels else "the store has no image of it")
        for record in CellprepStore(path).images()
    ]


def _checked(image: InputImage, paths: list[str]) -> InputImage:
    problem = image.problem or id_problem(image.id) or ""
    if len(paths) > 1:
        problem = f"several images have this id: {', '.join(paths)}; predict them apart"
    return InputImage(image.id, None, problem) if problem else image
