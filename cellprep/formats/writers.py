"""The formats that labels are written in: all images in one file, or a folder with a file for each.

A new format is one file with a function that encodes an image, and one line in `EXPORTERS`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cellprep.formats.annotations.content import Content
from cellprep.formats.coco import writer as coco
from cellprep.formats.geojson import writer as geojson
from cellprep.formats.kaggle_csv import writer as kaggle_csv
from cellprep.formats.label_images import writer as label_tiff
from cellprep.store import StoredImage


@dataclass(frozen=True, slots=True)
class OneFile:
    """A format that puts all images into one file of text.

    Attributes
    ----------
    encode
        Takes the content of an image and returns its part, in a worker: something small that can be pickled.
    join
        Takes the store's images and an iterator of those that could be read with their parts, in the same order;
        yields the file's text.
    keeps_ignore
        Whether it can express regions to ignore.
    """

    encode: Callable[[Content], Any]
    join: Callable[[Sequence[StoredImage], Iterator[tuple[StoredImage, Any]]], Iterator[str]]
    keeps_ignore: bool = False


@dataclass(frozen=True, slots=True)
class FilePerImage:
    """A format with one file for each image, ``<id><suffix>``, in a folder.

    Attributes
    ----------
    encode
        Takes the content of an image and returns the bytes of its file, in a worker.
    suffix
        How the file's name ends.
    keeps_ignore
        Whether it can express regions to ignore.
    """

    encode: Callable[[Content], bytes]
    suffix: str
    keeps_ignore: bool = False


#: The formats by name.
EXPORTERS: dict[str, OneFile | FilePerImage] = {
    "kaggle-csv": OneFile(kaggle_csv.encode, kaggle_csv.join),
    "coco": OneFile(coco.encode, coco.join, keeps_ignore=True),
    "label-tiff": FilePerImage(label_tiff.encode, ".tif"),
    "geojson": FilePerImage(geojson.encode, ".geojson"),
}
