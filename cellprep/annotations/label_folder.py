"""Reader of folders of label images, in the layouts of StarDist and Cellpose, or plain."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cellprep.annotations.label_file import LabelFileImage
from cellprep.annotations.listing import files_in, hash_of_listing
from cellprep.annotations.record import FaultyImage, ImageRecord
from cellprep.annotations.source import Source
from cellprep.errors import ImageFileError, SourceError
from cellprep.image_formats import IMAGE_FORMATS, LABEL_FORMATS
from cellprep.image_ids import id_problem
from cellprep.images import ImageFolder
from cellprep.rle import Order

__all__ = ["LabelFolder"]

_MASK_ENDS = ("_cp_masks", "_masks")


class LabelFolder(Source):
    """Annotations in one label image per image, in one of three layouts.

    ``masks/<id>.*`` beside ``images/<id>.*`` (StarDist); ``<id>_masks.*`` or ``<id>_cp_masks.*`` beside ``<id>.*``
    (Cellpose); or no images, which may then be elsewhere.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    SourceError
        If the folder cannot be read, or holds no label image.
    """

    format = "label-folder"

    def __init__(self, path: Path, _order: Order | None = None) -> None:
        super().__init__(path)
        folder = path / "masks" if (path / "masks").is_dir() else path
        self._masks = _mask_files(folder)
        if not self._masks:
            raise SourceError(f"{folder} holds no label image ({', '.join(LABEL_FORMATS)})")
        self._images = self._image_folder(folder)
        files = [file for files in self._masks.values() for file in files]
        self.sha256 = hash_of_listing(files, path)
        self.unannotated = self._images.others({*self._masks, *(file.name for file in files)}) if self._images else []

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether a folder holds label images."""
        return path.is_dir() and bool(_mask_files(path / "masks" if (path / "masks").is_dir() else path))

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, sorted."""
        return list(self._masks)

    @property
    def has_pixels(self) -> bool:
        """Whether there are images beside the label images."""
        return self._images is not None

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, files in self._masks.items():
            if problem := id_problem(image_id):
                yield FaultyImage(image_id, f"{files[0]}: {problem}")
            elif len(files) > 1:
                yield FaultyImage(
                    image_id, f"several label images have this id: {', '.join(map(str, files))}; keep one"
                )
            else:
                yield self._record(image_id, files[0])

    def _record(self, image_id: str, file: Path) -> ImageRecord | FaultyImage:
        try:
            pixels = self._images.find(image_id) if self._images else None
        except ImageFileError as error:
            return FaultyImage(image_id, str(error))
        return LabelFileImage(
            image_id=image_id, source=self.name, path=file, pixels=pixels, may_be_picture=self.is_chosen
        )

    def _image_folder(self, masks: Path) -> ImageFolder | None:
        if masks != self.path:
            return ImageFolder(self.path / "images") if (self.path / "images").is_dir() else None
        named = {file.name for files in self._masks.values() for file in files}
        beside = {file.stem for file in files_in(self.path, IMAGE_FORMATS) if file.name not in named}
        return ImageFolder(self.path) if beside & self._masks.keys() else None


def _mask_files(folder: Path) -> dict[str, list[Path]]:
    """Return the label files of each image: those whose name says so, or all if none does."""
    files = files_in(folder, LABEL_FORMATS)
    named = [file for file in files if file.stem.endswith(_MASK_ENDS)]
    found: dict[str, list[Path]] = defaultdict(list)
    for file in named or files:
        end = next((end for end in _MASK_ENDS if file.stem.endswith(end)), "")
        found[file.stem.removesuffix(end)].append(file)
    return dict(sorted(found.items()))
