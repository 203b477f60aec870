"""Annotation sources: one reader per format, all giving the same records.

A new format is one class in one file, and one line in `READERS`.
"""

from pathlib import Path

from cellprep.core.rle import Order, check_order
from cellprep.errors import SourceError, UsageError
from cellprep.formats.annotations.foreign import ends_of, kind_of
from cellprep.formats.annotations.source import FolderSource, Source
from cellprep.formats.cellpose.reader import CellposeFolder
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.formats.coco.crowds import Crowds
from cellprep.formats.coco.reader import COCOJSON
from cellprep.formats.coco.results import COCOResults, is_coco_results
from cellprep.formats.imagej.reader import ImageJRegions
from cellprep.formats.images import LABEL_FORMATS
from cellprep.formats.kaggle_csv.reader import KaggleCSV
from cellprep.formats.label_images.folder import LabelFolder
from cellprep.formats.label_images.mask_folder import MaskFolder
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.ome_zarr.reader import OMEZarr, zarr_problem
from cellprep.system.files import check_file
from cellprep.system.places import as_place

#: The readers by format; the first that recognises a path reads it.
READERS: dict[str, type[Source]] = {
    "kaggle-csv": KaggleCSV,
    "coco": COCOJSON,
    "cellprep": CellprepStore,
    "ome-zarr": OMEZarr,
    "mask-folder": MaskFolder,
    "imagej-roi": ImageJRegions,
    "cellpose-seg": CellposeFolder,
    "label-folder": LabelFolder,
}


def open_source(
    path: Path | str,
    format: str = "auto",  # noqa: A002
    rle_order: Order | None = None,
    crowds: Crowds | None = None,
) -> Source:
    """Open an annotation source.

    Parameters
    ----------
    path
        A file or folder, or its URL in an object store.
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
    path = as_place(path)
    if rle_order is not None:
        check_order(rle_order)
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
    truth: Source,
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
        The true cells; for COCO results the COCO file that lists their images.

    Raises
    ------
    SourceError, UsageError
        As `open_source`; SourceError also if there are COCO results, but the truth is no COCO file.
    """
    path = as_place(path)
    if format in ("auto", COCOJSON.format) and is_coco_results(path):
        if crowds:
            raise UsageError(f"{path} holds COCO results, which have no crowds")
        return COCOResults(path, truth)
    return open_source(path, format, rle_order, crowds)


def _open(reader: type[Source], layout: Layout, order: Order | None, crowds: Crowds | None) -> Source:
    if reader is COCOJSON:
        return COCOJSON(layout.path, crowds=crowds)
    return reader(layout.path, order, layout) if issubclass(reader, FolderSource) else reader(layout.path, order)


def _recognise(layout: Layout) -> type[Source]:
    path = layout.path
    is_folder = path.is_dir()
    for reader in READERS.values():
        if reader.fits(layout) if is_folder and issubclass(reader, FolderSource) else reader.recognises(path):
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
