"""Annotation sources: one reader per format, all giving the same records.

A new format is one class in one file, and one line in `READERS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from numpy.typing import NDArray

from cellprep.core.rle import Order, check_order
from cellprep.errors import SourceError, UsageError
from cellprep.formats.annotations.foreign import ends_of, kind_of
from cellprep.formats.annotations.source import FolderSource, Source
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.formats.coco.crowds import Crowds
from cellprep.formats.coco.reader import COCOJSON
from cellprep.formats.coco.results import COCOResults, is_coco_results
from cellprep.formats.images import LABEL_FORMATS
from cellprep.formats.kaggle_csv.reader import KaggleCSV
from cellprep.formats.label_images.arrays import LabelArrays, as_label_arrays
from cellprep.formats.label_images.folder import LabelFolder
from cellprep.formats.label_images.mask_folder import MaskFolder
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.ome_zarr.reader import OMEZarr, zarr_problem
from cellprep.store import Store
from cellprep.system.files import check_file
from cellprep.system.options import Option, documented, options_of, parted
from cellprep.system.places import as_place, is_place
from cellprep.text.frames import is_frame
from cellprep.text.wording import described

if TYPE_CHECKING:
    from pandas import DataFrame

RLEOrder = Annotated[
    Order | None,
    Option(
        "How run-length masks in a CSV count pixels; by row unless given, but EncodedPixels by column. A wrong order "
        "is noticed, but not on square images."
    ),
]
CrowdsAre = Annotated[
    Crowds | None,
    Option(
        "What crowds (iscrowd 1) in COCO JSON are: regions to ignore, or cells. Regions to ignore unless given, but "
        "asked for if there is nothing else, as tools such as CVAT mark every mask so."
    ),
]

#: The readers by format; the first that recognises a path reads it.
READERS: dict[str, type[Source]] = {
    "kaggle-csv": KaggleCSV,
    "coco": COCOJSON,
    "cellprep": CellprepStore,
    "ome-zarr": OMEZarr,
    "mask-folder": MaskFolder,
    "label-folder": LabelFolder,
}


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a source is read whose path is given."""

    format: Annotated[str, Option("Format of SOURCE", ("auto", *READERS))] = "auto"
    rle_order: RLEOrder = None
    crowds: CrowdsAre = None

    def open(self, path: Path | str) -> Source:
        """Open a source; raises as `open_source` does."""
        return open_source(path, self.format, self.rle_order, self.crowds)


#: What a source may be taken from: see `as_source`.
SourceLike = Source | Store | Path | str | NDArray[Any] | Mapping[str, Any]


def open_source(
    path: "Path | str | DataFrame",
    format: str = "auto",  # noqa: A002
    rle_order: Order | None = None,
    crowds: Crowds | None = None,
) -> Source:
    """Open an annotation source.

    Parameters
    ----------
    path
        A file or folder, or its URL in an object store; or a data frame with the columns of Kaggle's CSV, whose rows
        are counted from 0, as ``iloc`` does.
    format
        A name in `READERS`, or ``"auto"`` to recognise it.
    rle_order
        The order in which run-length texts count pixels; the format's own unless given.
    crowds
        What COCO's crowds are: regions to ``"ignore"``, or ``"cells"``. Regions to ignore unless given; but a file
        of nothing else is refused then, because several tools mark every mask as a crowd.

    Raises
    ------
    SourceError
        If there is nothing to read at `path`, or it is not of the format.
    UsageError
        If there is no such format or order, if the format has no order or no crowds to choose about, or if a file
        has only crowds and `crowds` is not given.
    """
    if rle_order is not None:
        check_order(rle_order)
    if is_frame(path):
        return _open_frame(path, format, rle_order, crowds)
    path = as_place(path)
    try:
        check_file(path)
    except OSError as error:
        raise SourceError(f"cannot read the annotation source {path}: {error.strerror}") from error
    if format not in ("auto", *READERS):
        raise UsageError(f"format {format!r} is unknown: it is one of auto, {', '.join(READERS)}")
    try:
        layout = Layout(path)
        reader = _recognise(layout) if format == "auto" else READERS[format]
        source = _open(reader, layout, rle_order, crowds)
    except OSError as error:
        raise SourceError(f"cannot read {error.filename or path}: {error.strerror}") from error
    source.is_chosen = format != "auto"
    if rle_order and source.order is None:
        raise UsageError(f"{path} is of the format {source.format}, whose masks leave no order to choose")
    if crowds and source.format != COCOJSON.format:
        raise UsageError(f"{path} is of the format {source.format}, which has no crowds")
    return source


def open_prediction(
    path: Path | str,
    truth: SourceLike,
    format: str = "auto",  # noqa: A002
    rle_order: Order | None = None,
    crowds: Crowds | None = None,
) -> Source:
    """Open predicted cells: any annotation source, or a file of COCO results.

    Parameters
    ----------
    path, format, rle_order, crowds
        As `open_source` takes them.
    truth
        The true cells, or their path; for COCO results the COCO file that lists their images.

    Raises
    ------
    SourceError, UsageError
        As `open_source`; SourceError also if there are COCO results, but the truth is no COCO file.
    """
    path = as_place(path)
    if format in ("auto", COCOJSON.format) and is_coco_results(path):
        if crowds:
            raise UsageError(f"{path} holds COCO results, which have no crowds")
        return COCOResults(path, as_source(truth, {}, "truth")[0])
    return open_source(path, format, rle_order, crowds)


def as_source(source: Any, keywords: Mapping[str, Any], name: str = "source") -> tuple[Source, dict[str, Any]]:
    """Return a source that is wanted, whatever was given for it, and the keywords that say nothing of it.

    Parameters
    ----------
    source
        The source, or its path, or the labels of images: an array, (H, W), or arrays by the images' ids.
    keywords
        Options by name: those of `SourceOptions` are how a path is read.
    name
        What the source is called, for messages.

    Raises
    ------
    UsageError
        If it is something else, or says itself how it is read.
    SourceError
        As `open_source`.
    """
    how, others = parted(keywords, SourceOptions)
    if is_place(source) or is_frame(source):
        return options_of(SourceOptions, None, how).open(source), others
    if how:
        raise UsageError(f"{', '.join(how)}: how a source is read is said where its path is given")
    if isinstance(source, Source):
        return source, others
    if isinstance(source, Store):
        return open_source(source.path), others
    if labels := as_label_arrays(source):
        return LabelArrays(labels), others
    raise UsageError(
        f"{name} is {described(source)}: give a path, what open_source returns, or labels: (H, W) whole numbers, or "
        "{id: labels}"
    )


def as_prediction(predicted: Any, truth: Source) -> Source:
    """Return predicted cells, whatever was given for them, as `as_source` does; a path may lead to COCO results."""
    return open_prediction(predicted, truth) if is_place(predicted) else as_source(predicted, {}, "predicted")[0]


def _open_frame(frame: "DataFrame", format: str, order: Order | None, crowds: Crowds | None) -> Source:  # noqa: A002
    if format not in ("auto", KaggleCSV.format) or crowds:
        raise UsageError(f"a data frame is read as {KaggleCSV.format}: leave out other formats, and crowds")
    return KaggleCSV(frame, order)


def _open(reader: type[Source], layout: Layout, order: Order | None, crowds: Crowds | None) -> Source:
    if reader is COCOJSON:
        return COCOJSON(layout.path, crowds=crowds)
    return reader(layout.path, order, layout) if issubclass(reader, FolderSource) else reader(layout.path, order)


def _recognise(layout: Layout) -> type[Source]:
    path = layout.path
    is_folder = path.is_dir()
    for reader in READERS.values():
        if is_folder and reader.fits(layout) if issubclass(reader, FolderSource) else reader.recognises(path):
            return reader
    known = ", ".join(READERS)
    if is_folder and (problem := _picture_problem(layout) or zarr_problem(path)):
        raise SourceError(problem)
    if found := kind_of(path):
        raise SourceError(f"{path} is of no known kind: {found} (formats that can be read: {known})")
    if is_folder and (problem := layout.problem()):
        raise SourceError(problem)
    if found := ends_of(path):
        raise SourceError(f"{path} is of no known kind: {found} (formats that can be read: {known})")
    raise SourceError(f"{path} is of no known kind: give one of these, and name its --format: {known}")


def _picture_problem(layout: Layout) -> str:
    """Return the problem of a folder of nothing but files in formats that change numbers; empty text if it is none."""
    names = layout.names
    if not names or not all(name.lower().endswith((".jpg", ".jpeg", ".webp")) for name in names):
        return ""
    return (
        f"{layout.path} holds no annotations that can be read, but {names[0]} and the like, a format that changes "
        f"numbers: label images are {', '.join(LABEL_FORMATS)}"
    )
