"""The formats that labels are written in: all images in one file, or a folder with files for each.

A new format is one file with a function that encodes an image, and one line in `EXPORTERS`: `export`, `convert` and
`predict` write it then.
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

#: What a format may be unable to hold.
FEATURES = ("overlaps", "holes", "pieces", "types", "scores", "names", "ignore")
_LABELS = frozenset({"holes", "pieces"})
_SHAPES = frozenset({"overlaps", "holes", "pieces", "types"})
_NAMED = _SHAPES | {"names"}
_COCO = _SHAPES | {"scores", "ignore"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """What a format can and cannot do.

    Attributes
    ----------
    holds
        Which of `FEATURES` it can express.
    joined
        Which of these it can only express by lines of no width that join outlines.
    is_outlines
        Whether it has outlines, which may be simplified.
    needs_types
        Whether it must know the types of all images' cells before the first is written.
    takes_pictures
        Whether it takes the images' pictures along.
    needs_pictures
        Whether labels are little without the picture that they belong to, so that predictions take it along, too.
    knows_folds
        Whether it parts images to train on from those to validate on.
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
    """A format that puts all images into one file of text.

    Attributes
    ----------
    encode
        Takes the content of an image and returns its part, in a worker: something small that JSON can express.
    join
        Takes what is known of all images and an iterator of those that could be read with their parts, in their
        order; yields the file's text.
    name
        The file's name among predictions.
    of_predictions
        The form in which predictions are written, if that is another one.
    """

    encode: Callable[[Content], Any]
    join: Callable[[Whole, Iterator[tuple[Listed, Any]]], Iterator[str]]
    name: str = ""
    of_predictions: "OneFile | None" = None


def _nothing(_whole: Whole, _images: Sequence[Listed]) -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class FilesPerImage(_Format):
    """A format with files for each image, in a folder.

    Attributes
    ----------
    encode
        Takes the content of an image and returns the bytes of its files by their paths in the folder, in a worker.
    finish
        Takes what is known of all images, and those that were written, and returns further files.
    """

    encode: Callable[[Content], Mapping[str, bytes]]
    finish: Callable[[Whole, Sequence[Listed]], Mapping[str, bytes]] = _nothing


@dataclass(frozen=True, slots=True)
class FilePerImage(_Format):
    """A format with one file for each image, ``<id><suffix>``, in a folder.

    Attributes
    ----------
    encode_file
        Takes the content of an image and returns the bytes of its file, in a worker.
    suffix
        How the file's name ends.
    """

    encode_file: Callable[[Content], bytes]
    suffix: str

    finish = staticmethod(_nothing)

    def encode(self, content: Content) -> dict[str, bytes]:
        """Return the bytes of an image's file by its name."""
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
    """Look a format up by its name.

    Raises
    ------
    UsageError
        If there is no such format.
    """
    if name not in EXPORTERS:
        raise UsageError(f"export format {name!r} is unknown: it is one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name]
