"""Formats for writing labels: all images in one file, or a folder with files for each image.

To add a format, add a function that encodes an image in a new file, and a line to `EXPORTERS`. It is then available in
`export`, `convert` and `predict`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellprep.errors import UsageError
from cellprep.formats.annotations.content import Content, Listed, Whole
from cellprep.formats.cellpose import writer as cellpose
from cellprep.formats.coco import writer as coco
from cellprep.formats.geojson import writer as geojson
from cellprep.formats.imagej import writer as imagej
from cellprep.formats.kaggle_csv import writer as kaggle_csv
from cellprep.formats.label_images import writer as label_tiff
from cellprep.formats.labelme import writer as labelme
from cellprep.formats.ome_zarr import writer as ome_zarr
from cellprep.formats.yolo import writer as yolo

#: Features that a format may lack.
FEATURES = ("overlaps", "holes", "pieces", "types", "scores", "names", "ignore")
_LABELS = frozenset({"holes", "pieces"})
_SHAPES = frozenset({"overlaps", "holes", "pieces", "types"})
_NAMED = _SHAPES | {"names"}
_COCO = _SHAPES | {"scores", "ignore"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """Capabilities of a format.

    Attributes
    ----------
    holds
        The supported ones of `FEATURES`.
    joined
        Those that are only supported by lines of no width that connect outlines.
    is_outlines
        Whether it has outlines, which may be simplified.
    needs_types
        Whether the types of all images' cells must be known before the first image is written.
    takes_pictures
        Whether it includes the images' pictures.
    needs_pictures
        Whether labels are of little use without their picture, so that predictions include it, too.
    knows_folds
        Whether it separates training images from validation images.
    """

    holds: frozenset[str] = frozenset(FEATURES)
    joined: frozenset[str] = frozenset()
    is_outlines: bool = False
    needs_types: bool = False
    takes_pictures: bool = False
    needs_pictures: bool = False
    knows_folds: bool = False


@dataclass(frozen=True, slots=True)
class OneFile(_Format):
    """A format with all images in one text file.

    Attributes
    ----------
    encode
        Takes the content of an image and returns its part, in a worker: a small JSON value.
    join
        Takes the facts about all images and an iterator of the readable images with their parts, in order;
        yields the text of the file.
    name
        Name of the file in predictions.
    of_predictions
        Variant for predictions, if it differs.
    """

    encode: Callable[[Content], Any]
    join: Callable[[Whole, Iterator[tuple[Listed, Any]]], Iterator[str]]
    name: str = ""
    of_predictions: "OneFile | None" = None


def _nothing(_whole: Whole, _images: Sequence[Listed]) -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class FilesPerImage(_Format):
    """A format with a folder that has files for each image.

    Attributes
    ----------
    encode
        Takes the content of an image and returns the bytes of its files, by path in the folder, in a worker.
    finish
        Takes the facts about all images and the written images, and returns additional files.
    """

    encode: Callable[[Content], Mapping[str, bytes]]
    finish: Callable[[Whole, Sequence[Listed]], Mapping[str, bytes]] = _nothing


@dataclass(frozen=True, slots=True)
class FilePerImage(_Format):
    """A format with a folder that has one file for each image, ``<id><suffix>``.

    Attributes
    ----------
    encode_file
        Takes the content of an image and returns the bytes of its file, in a worker.
    suffix
        Suffix of the file name.
    """

    encode_file: Callable[[Content], bytes]
    suffix: str

    finish = staticmethod(_nothing)

    def encode(self, content: Content) -> dict[str, bytes]:
        """Return the bytes of an image's file by name."""
        return {f"{content.image_id}{self.suffix}": self.encode_file(content)}


Exporter = OneFile | FilesPerImage | FilePerImage

_SUBMISSION = OneFile(
    kaggle_csv.encode_submission, kaggle_csv.join_submission, "submission.csv", holds=_SHAPES - {"types"}
)

#: The formats by name.
EXPORTERS: dict[str, Exporter] = {
    "kaggle-csv": OneFile(kaggle_csv.encode, kaggle_csv.join, of_predictions=_SUBMISSION, holds=_SHAPES),
    "coco": OneFile(coco.encode, coco.join, "coco.json", holds=_COCO, needs_types=True),
    "coco-polygons": OneFile(
        coco.encode_polygons,
        coco.join,
        "coco-polygons.json",
        holds=_COCO,
        joined=frozenset({"holes"}),
        is_outlines=True,
        needs_types=True,
    ),
    "label-tiff": FilesPerImage(label_tiff.encode, holds=_LABELS | {"types"}),
    "geojson": FilePerImage(geojson.encode, ".geojson", holds=_NAMED | {"scores"}, is_outlines=True),
    "geojson-detections": FilePerImage(
        geojson.encode_detections, ".geojson", holds=_NAMED | {"scores"}, is_outlines=True
    ),
    "imagej-roi": FilesPerImage(imagej.encode, holds=_NAMED | {"scores"}, is_outlines=True, takes_pictures=True),
    "cellpose-seg": FilesPerImage(cellpose.encode, holds=_LABELS, takes_pictures=True),
    "labelme": FilesPerImage(
        labelme.encode, holds=_NAMED, joined=frozenset({"holes"}), is_outlines=True, takes_pictures=True
    ),
    "yolo": FilesPerImage(
        yolo.encode,
        yolo.finish,
        holds=_SHAPES,
        joined=frozenset({"holes", "pieces"}),
        is_outlines=True,
        needs_types=True,
        takes_pictures=True,
        knows_folds=True,
    ),
    "ome-zarr": FilesPerImage(
        ome_zarr.encode, holds=_LABELS | {"types", "scores"}, takes_pictures=True, needs_pictures=True
    ),
}


def find_exporter(name: str) -> Exporter:
    """Return the format of a name.

    Raises
    ------
    UsageError
        If the format is unknown.
    """
    if name not in EXPORTERS:
        raise UsageError(f"export format {name!r} is unknown: use one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name]
