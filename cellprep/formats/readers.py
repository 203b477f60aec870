"""Annotation sources: one reader per format, all giving the same records.

A new format is one class in one file, and one line in `READERS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast, get_args

from numpy.typing import NDArray

from cellprep.core.rle import Order, check_order
from cellprep.errors import SourceError, UsageError
from cellprep.formats.annotations.categories import CategoriesAre, CategoryMap, read_category_map
from cellprep.formats.annotations.foreign import ends_of, kind_of
from cellprep.formats.annotations.json_kinds import reader_of_json
from cellprep.formats.annotations.partial import ALL_ANNOTATED, Partial
from cellprep.formats.annotations.record import Components
from cellprep.formats.annotations.source import FolderSource, Source
from cellprep.formats.cellpose.reader import CellposeFolder
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.formats.coco.crowds import Crowds
from cellprep.formats.coco.reader import COCOJSON
from cellprep.formats.coco.results import COCOResults, is_coco_results
from cellprep.formats.cvat.reader import CVAT
from cellprep.formats.drawings.source import DrawnFiles, DrawnSet
from cellprep.formats.geojson.reader import GeoJSON
from cellprep.formats.imagej.reader import ImageJRegions
from cellprep.formats.images import LABEL_FORMATS
from cellprep.formats.kaggle_csv.reader import KaggleCSV
from cellprep.formats.label_images.arrays import LabelArrays, as_label_arrays
from cellprep.formats.label_images.folder import LabelFolder
from cellprep.formats.label_images.mask_folder import MaskFolder
from cellprep.formats.label_studio.reader import LabelStudio
from cellprep.formats.labelme.reader import LabelMe
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.ome_zarr.reader import OMEZarr, zarr_problem
from cellprep.formats.via.reader import VIA
from cellprep.formats.yolo.reader import YOLO
from cellprep.store import Store
from cellprep.system.files import check_file
from cellprep.system.options import Option, documented, options_of, parted, takes
from cellprep.system.places import as_place, is_place
from cellprep.text.frames import is_frame
from cellprep.text.wording import described

if TYPE_CHECKING:
    from pandas import DataFrame

RLEOrder = Annotated[
    Order | None,
    Option(
        "How run-length masks in a CSV count pixels; by row unless given, but EncodedPixels by column. A wrong order "
        "is noticed, but not on square images.",
        group="Annotations",
    ),
]
CrowdsAre = Annotated[
    Crowds | None,
    Option(
        "What crowds (iscrowd 1) in COCO JSON are: regions to ignore, or cells. Regions to ignore unless given, but "
        "you must choose if there is nothing else, as tools such as CVAT mark every mask so.",
        group="Annotations",
    ),
]

ComponentsAre = Annotated[
    int | None,
    Option(
        "Take each connected piece of a label image or a mask as a cell, where it holds classes or all cells in one: 4 "
        "or 8 neighbours are connected. Each number is a cell unless given.",
        metavar="4|8",
        group="Annotations",
    ),
]

ClassFolders = Annotated[
    bool,
    Option(
        "Take the folders that label images lie in as classes, as masks/<class>/<id>.*: an image has the cells of all "
        "files of its name."
    ),
]

#: The readers by format; the first that recognises a path reads it.
READERS: dict[str, type[Source]] = {
    "kaggle-csv": KaggleCSV,
    "coco": COCOJSON,
    "cellprep": CellprepStore,
    "ome-zarr": OMEZarr,
    "geojson": GeoJSON,
    "labelme": LabelMe,
    "yolo": YOLO,
    "cvat": CVAT,
    "label-studio": LabelStudio,
    "via": VIA,
    "mask-folder": MaskFolder,
    "imagej-roi": ImageJRegions,
    "cellpose-seg": CellposeFolder,
    "label-folder": LabelFolder,
}


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a source is read whose path is given."""

    format: Annotated[str, Option("Format of SOURCE", ("auto", *READERS), group="Annotations")] = "auto"
    rle_order: RLEOrder = None
    crowds: CrowdsAre = None
    components: ComponentsAre = None
    class_folders: ClassFolders = False
    category_map: CategoriesAre = None
    partial: Annotated[
        Partial, Option("What of the images is annotated; its options are taken by their names, too.")
    ] = field(default_factory=Partial)

    def open(self, path: Path | str) -> Source:
        """Open a source; raises as `open_source` does."""
        return open_source(
            path,
            self.format,
            self.rle_order,
            self.crowds,
            self.components,
            self.partial,
            self.category_map,
            class_folders=self.class_folders,
        )


#: What a source may be taken from, or a data frame, for which pandas is not loaded: see `as_source`.
if TYPE_CHECKING:
    SourceLike: TypeAlias = Source | Store | Path | str | NDArray[Any] | Mapping[str, Any] | DataFrame
else:
    SourceLike = Source | Store | Path | str | NDArray[Any] | Mapping[str, Any]


@takes(Partial)
def open_source(
    path: "Path | str | DataFrame",
    format: str = "auto",  # noqa: A002
    rle_order: Order | None = None,
    crowds: Crowds | None = None,
    components: int | None = None,
    partial: Partial | None = None,
    category_map: "CategoryMap | Mapping[str, str] | Path | str | None" = None,
    *,
    class_folders: bool = False,
    **keywords: Any,
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
    components
        4 or 8: each connected piece of one value in a label image or a mask is a cell, and the value its type, where
        so many neighbours of a pixel count as connected. It is for masks of classes, or of all cells; each value is a
        cell unless it is given.
    partial
        What of the images is annotated.
    category_map
        What becomes of categories, as `CategoryMap` or what makes one: a file, or new names by old ones, of which an
        empty one leaves annotations out. `Partial` takes the old names.
    class_folders
        Whether the folders that label images lie in are classes of cells, as ``masks/<class>/<id>.*``.
    **keywords
        Fields of `Partial`, such as ``ignore_labels=255``, by name.

    Raises
    ------
    SourceError
        If there is nothing to read at `path`, or it is not of the format.
    UsageError
        If there is no such format or order, if the format has no order, crowds or pieces to choose about, or if a
        file has only crowds and `crowds` is not given.
    """
    partial = options_of(Partial, partial, keywords)
    if components not in (None, *get_args(Components)):
        raise UsageError(f"components={components} is unknown: it is one of 4, 8")
    if rle_order is not None:
        check_order(rle_order)
    if is_frame(path):
        if components:
            raise UsageError("a data frame has cells that are told apart: it has no components")
        return _taking(_open_frame(path, format, rle_order, crowds), partial, category_map)
    path = as_place(path)
    try:
        check_file(path)
    except OSError as error:
        raise SourceError(f"cannot read the annotation source {path}: {error.strerror}") from error
    if format not in ("auto", *READERS):
        raise UsageError(f"format {format!r} is unknown: it is one of auto, {', '.join(READERS)}")
    try:
        layout = Layout(path)
        # Folders of classes may look like folders of masks of one cell each.
        named = LabelFolder.format if class_folders and format == "auto" and path.is_dir() else format
        source = _open_as(named, layout, rle_order, crowds, partial)
    except OSError as error:
        raise SourceError(f"cannot read {error.filename or path}: {error.strerror}") from error
    source.is_chosen = format != "auto"
    if rle_order and source.order is None:
        raise UsageError(f"{path} is of the format {source.format}, whose masks leave no order to choose")
    if crowds and source.format != COCOJSON.format:
        raise UsageError(f"{path} is of the format {source.format}, which has no crowds")
    if components and not isinstance(source, (LabelFolder, MaskFolder)):
        raise UsageError(f"{path} is of the format {source.format}, whose cells are told apart: it has no --components")
    source.components = cast("Components | None", components)
    if class_folders:
        _take_folders_as_classes(source)
    return _taking(source, partial, category_map)


def _take_folders_as_classes(source: Source) -> None:
    if not isinstance(source, LabelFolder):
        problem = f"{source.path} is of the format {source.format}"
        raise UsageError(f"{problem}: --class-folders is for folders of label images")
    source.take_folders_as_classes()


def open_prediction(
    path: Path | str,
    truth: SourceLike,
    format: str = "auto",  # noqa: A002
    rle_order: Order | None = None,
    crowds: Crowds | None = None,
    components: int | None = None,
    partial: Partial | None = None,
    category_map: "CategoryMap | Mapping[str, str] | Path | str | None" = None,
) -> Source:
    """Open predicted cells: any annotation source, or a file of COCO results.

    Parameters
    ----------
    path, format, rle_order, crowds, components, partial, category_map
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
        if crowds or components:
            raise UsageError(f"{path} holds COCO results, which have no crowds, and whose cells are told apart")
        results = COCOResults(path, as_source(truth, {}, "truth")[0])
        return _taking(results, partial or ALL_ANNOTATED, category_map)
    return open_source(path, format, rle_order, crowds, components, partial, category_map)


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
    partial, how = parted(how, Partial) if not isinstance(source, Source | Store) else ({}, how)
    if how:
        raise UsageError(f"{', '.join(how)}: how a source is read is said where its path is given")
    if isinstance(source, Source):
        return source, others
    if isinstance(source, Store):
        return open_source(source.path), others
    if labels := as_label_arrays(source):
        return _taking(LabelArrays(labels), options_of(Partial, None, partial)), others
    raise UsageError(
        f"{name} is {described(source)}: give a path, what open_source returns, or labels: (H, W) whole numbers, or "
        "{id: labels}"
    )


def as_prediction(predicted: Any, truth: Source) -> Source:
    """Return predicted cells, whatever was given for them, as `as_source` does; a path may lead to COCO results."""
    return open_prediction(predicted, truth) if is_place(predicted) else as_source(predicted, {}, "predicted")[0]


def _taking(source: Source, partial: Partial, category_map: Any = None) -> Source:
    """Return a source of which only a part is annotated, or some categories have other names.

    Raises
    ------
    UsageError
        If numbers of label images are to be ignored, and it has none, or a category is unknown.
    """
    if partial.ignore_labels and not source.has_numbers:
        able = ", ".join(name for name, reader in READERS.items() if reader.has_numbers)
        raise UsageError(
            f"{source.path} is of the format {source.format}, which has no label images: --ignore-label is for {able}; "
            "--ignore-class names a class"
        )
    source.partial = partial
    if category_map is None:
        return source
    categories = category_map if isinstance(category_map, CategoryMap) else read_category_map(category_map)
    if both := set(categories.dropped).intersection(partial.classes):
        raise UsageError(f"class {min(both)!r} is both to be left out and a region: map it, or ignore it")
    return source.with_categories(categories)


def _open_as(
    format: str,  # noqa: A002
    layout: Layout,
    order: Order | None,
    crowds: Crowds | None,
    partial: Partial,
) -> Source:
    reader = _recognise(layout) if format == "auto" else READERS[format]
    try:
        return _open(reader, layout, order, crowds, partial)
    except SourceError:
        # Every CSV is taken for Kaggle's by its name, so that it is read once; only one that is not is looked at again.
        if format == "auto" and reader is KaggleCSV and VIA.recognises(layout.path):
            return _open(VIA, layout, order, crowds, partial)
        raise


def _open_frame(frame: "DataFrame", format: str, order: Order | None, crowds: Crowds | None) -> Source:  # noqa: A002
    if format not in ("auto", KaggleCSV.format) or crowds:
        raise UsageError(f"a data frame is read as {KaggleCSV.format}: leave out other formats, and crowds")
    return KaggleCSV(frame, order)


def _open(reader: type[Source], layout: Layout, order: Order | None, crowds: Crowds | None, partial: Partial) -> Source:
    if reader is COCOJSON:
        return COCOJSON(layout.path, crowds=crowds)
    if issubclass(reader, DrawnSet):
        return reader(layout.path, order, partial)
    return reader(layout.path, order, layout) if issubclass(reader, FolderSource) else reader(layout.path, order)


def _recognise(layout: Layout) -> type[Source]:
    path = layout.path
    is_folder = path.is_dir()
    for reader in READERS.values():
        if _is_of(reader, layout):
            _refuse_several(layout, reader)
            return reader
    if not is_folder and (name := reader_of_json(path)):
        return READERS[name]
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


def _is_of(reader: type[Source], layout: Layout) -> bool:
    """Return whether a reader takes what is there, by a layout that is scanned once."""
    if issubclass(reader, FolderSource) and layout.path.is_dir():
        return reader.fits(layout)
    return reader.recognises(layout.path)


def _refuse_several(layout: Layout, reader: type[Source]) -> None:
    """Refuse a folder of files of several formats, of which nothing says which counts."""
    if not (layout.path.is_dir() and issubclass(reader, DrawnFiles)):
        return
    own = [name for name, other in READERS.items() if issubclass(other, DrawnFiles) and other.fits(layout)]
    if len(own) > 1:
        raise SourceError(
            f"{layout.path} holds files of several formats: name the one that counts, --format {', '.join(own)}"
        )


def _picture_problem(layout: Layout) -> str:
    """Return the problem of a folder of nothing but files in formats that change numbers; empty text if it is none."""
    names = layout.names
    if not names or not all(name.lower().endswith((".jpg", ".jpeg", ".webp")) for name in names):
        return ""
    return (
        f"{layout.path} holds no annotations that can be read, but {names[0]} and the like, a format that changes "
        f"numbers: label images are {', '.join(LABEL_FORMATS)}"
    )
