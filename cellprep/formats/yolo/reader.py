"""Reader of YOLO's text files: one line per cell, with its class and its points, relative to the image's size.

https://docs.ultralytics.com/datasets/segment/
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, RLEError, SourceError
from cellprep.formats.annotations.foreign import is_yolo
from cellprep.formats.annotations.record import ImageRecord
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.drawings.shapes import Drawing, Faulty, Polygon, Shape, number_of, shown
from cellprep.formats.drawings.source import DrawnFiles
from cellprep.formats.images.file import ImageFile
from cellprep.formats.layouts.layout import Layout
from cellprep.system.files import open_file, read_file

_HEAD, _LINES = 65_536, 20  # bytes and lines by which a file is recognised
_TABLES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LISTS = ("classes.txt", "obj.names")
# Folders that may be between the root of a data set and its labels.
_BELOW = {"labels", "train", "val", "valid", "test"}
_SEGMENTATION = "export the data set for segmentation, with a class and x, y of each point"


@dataclass(frozen=True, slots=True, kw_only=True)
class YOLOImage(DrawnImage):
    """Lines of one image. Rows are line numbers.

    Attributes
    ----------
    names
        Names of the classes; empty if unknown, in which case numbers are used.
    """

    unit = "line"

    names: tuple[str, ...] = ()

    def content(self) -> list[Any]:
        """Return the hash of the file, and the names."""
        return [*DrawnImage.content(self), self.names]

    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Parse the lines."""
        try:
            lines = document.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise AnnotationError(f"{self.place} is not a text file of YOLO: save it as UTF-8") from error
        return [
            Drawing(row, (_outline(line.split(), shape),), self._name(line.split()[0]))
            for row, line in enumerate(lines, start=1)
            if line.strip()
        ]

    def _name(self, word: str) -> str:
        if not (self.names and re.fullmatch("[0-9]{1,9}", word)):
            return word if re.fullmatch("[0-9]{1,9}", word) else ""
        if int(word) >= len(self.names):
            raise AnnotationError(
                f"{self.place}: class {word} is not one of the {len(self.names)} named classes, from 0"
            )
        return self.names[int(word)]


class YOLO(DrawnFiles):
    """Annotations in YOLO's ``<id>.txt``; images in the same folder, or in ``images/`` next to ``labels/``.

    Names of classes are read from ``data.yaml`` or ``classes.txt`` in the data set's folder.
    """

    format = "yolo"
    ends = (".txt",)
    looked_at = 100  # files of images without cells are empty
    record = YOLOImage

    def __init__(self, path: Path, order: Order | None = None, layout: Layout | None = None) -> None:
        self._names = _names(path if path.is_dir() else path.parent)
        super().__init__(path, order, layout)

    @classmethod
    def files_among(cls, layout: Layout) -> list[Path]:
        """Return the text files that are not lists of names."""
        return [file for file in layout.files(cls.ends) if file.name not in _LISTS]

    @classmethod
    def is_own(cls, path: Path) -> bool:
        """Return whether each line of a text file has a class and numbers between 0 and 1."""
        if not path.name.lower().endswith(cls.ends) or path.name in _LISTS:
            return False
        words = _first_lines(path)
        return bool(words) and all(map(is_yolo, words))

    def notes_of(self, files: Sequence[Path]) -> list[str]:
        """Refuse labels that are only boxes."""
        words = [line for file in files for line in _first_lines(file)]
        if words and all(len(line) == 5 for line in words):
            raise SourceError(
                f"{self.path}: this is a YOLO label with boxes instead of masks, or a folder of these: {_SEGMENTATION}"
            )
        return []

    def new_record(self, image_id: str, path: Path, pixels: ImageFile | None) -> ImageRecord:
        """Return the record of an image, with the names of classes."""
        return YOLOImage(image_id=image_id, source=self.name, document=path, pixels=pixels, names=self._names)


def _first_lines(path: Path) -> list[list[str]]:
    """Return the words of the first nonempty lines of a text file."""
    with open_file(path) as file:
        lines = file.read(_HEAD).decode("utf-8-sig", "replace").splitlines()
    return [line.split() for line in lines[:_LINES] if line.strip()]


def _outline(words: Sequence[str], shape: tuple[int, int]) -> Shape:
    if not re.fullmatch("[0-9]{1,9}", words[0]):
        return Faulty(f"its class is {shown(words[0])}: it must be a whole number from 0")
    if len(words) == 5:
        return Faulty(f"it has 5 numbers, a class and a box, but boxes are not masks: {_SEGMENTATION}")
    if len(words) % 2 == 0:
        return Faulty(
            f"it has {len(words) - 1} numbers after its class: it needs x and y of each point; "
            "if the last is a confidence, save predictions without it (save_conf=False)"
        )
    try:
        numbers = [number_of(word, "coordinate") for word in words[1:]]
    except RLEError as error:
        return Faulty(error.problem)
    if far := next((number for number in numbers if not -1 <= number <= 2), None):
        return Faulty(
            f"it has a coordinate of {far:g}: in YOLO they are relative to the image's width and height, from 0 to 1"
        )
    height, width = shape
    return Polygon([[(x * width, y * height) for x, y in zip(numbers[0::2], numbers[1::2], strict=True)]])


def _names(folder: Path) -> tuple[str, ...]:
    """Return the names of a data set's classes; empty if there are none.

    Raises
    ------
    SourceError
        If a file with the names cannot be read.
    """
    folder = folder.resolve() if folder.name in ("", "..") else folder
    while True:
        for name in (*_TABLES, *_LISTS):
            if (folder / name).is_file():
                text = _text(folder / name)
                found = _names_in_table(text, folder / name) if name in _TABLES else tuple(text.split("\n"))
                return tuple(name.strip() for name in found if name.strip())
        if folder.name.lower() not in _BELOW or folder.parent == folder:
            return ()
        folder = folder.parent


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not a text file: save it as UTF-8") from error


def _names_in_table(text: str, path: Path) -> tuple[str, ...]:
    import yaml

    try:
        table = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SourceError(f"{path} is not valid YAML: correct it, or remove it from the folder") from error
    names = table.get("names") if isinstance(table, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise SourceError(f"{path}: its names are {shown(names)}: they must be a list of the names of classes, from 0")
    return tuple(map(str, names))
