"""Annotation sources: one reader per format; all yield the same records.

To add a format, add a class in a new file, and a line to `READERS`.
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
        "Order of pixels in the run-length masks of a CSV; by default row, but column for EncodedPixels. A wrong order "
        "is detected unless images are square.",
        group="Annotations",
    ),
]
CrowdsAre = Annotated[
    Crowds | None,
    Option(
        "Meaning of crowds (iscrowd 1) in COCO JSON: regions to ignore, or cells. By default regions to ignore, but "
        "you must choose if there are no other annotations, as tools such as CVAT mark all masks as crowds.",
        group="Annotations",
    ),
]

ComponentsAre = Annotated[
    int | None,
    Option(
        "Treat each connected component of a label image or mask as a cell, for images of classes or of all cells: 4 "
        "or 8 neighbours are connected. By default each number is a cell.",
        metavar="4|8",
        group="Annotations",
    ),
]

ClassFolders = Annotated[
    bool,
    Option(
        "Treat the folders of label images, `masks/<class>/<id>.*`, as classes: an image has the cells of all files "
        "with its name.",
        group="Annotations",
    ),
]

#: The readers by format; the first one that recognises a path is used.
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
    """Options for reading a source that is given as a path."""

    format: Annotated[str, Option("Format of SOURCE", ("auto", *READERS), group="Annotations")] = "auto"
    rle_order: RLEOrder = None
    crowds: CrowdsAre = None
    components: ComponentsAre = None
    class_folders: ClassFolders = False
    category_map: CategoriesAre = None
    partial: Annotated[Partial, Option("The annotated part of the images; its options can also be given by name.")] = (
        field(default_factory=Partial)
    )

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


#: Arguments that stand for a source, apart from data frames, as pandas is not loaded here: see `as_source`.
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
        are counted from 0, as for ``iloc``.
    format
        A name in `READERS`, or ``"auto"`` for detection.
    rle_order
        Order of pixels in run-length texts; by default that of the format.
    crowds
        Meaning of COCO's crowds: regions to ``"ignore"``, or ``"cells"``. By default regions to ignore, but this is an
        error for a file of only crowds, because several tools mark all masks as crowds.
    components
        Connectivity, 4 or 8: each connected component of one value in a label image or mask is a cell, with the value
        as its type. Use it for masks of classes, or of all cells. By default each value is a cell.
    partial
        The annotated part of the images.
    category_map
        A `CategoryMap`, a file with one, or new names by old names; an empty new name drops the annotations.
        `Partial` takes the old names.
    class_folders
        Whether the folders of label images, ``masks/<class>/<id>.*``, are classes of cells.
    **keywords
        Fields of `Partial` by name, such as ``ignore_labels=255``.

    Raises
    ------
    SourceError
        If there is nothing to read at `path`, or it has another format.
    UsageError
        If the format or order is unknown, if an option does not apply to the format, or if a
        file has only crowds and `crowds` is not given.
    """
    partial = options_of(Partial, partial, keywords)
    if components not in (None, *get_args(Components)):
        raise UsageError(f"components={components} is unknown: use one of 4, 8")
    if rle_order is not None:
        check_order(rle_order)
    if is_frame(path):
        if components:
            raise UsageError("the cells of a data frame are separate: components does not apply")
        return _taking(_open_frame(path, format, rle_order, crowds), partial, category_map)
    path = as_place(path)
    try:
        check_file(path)
    except OSError as error:
        raise SourceError(f"cannot read the annotation source {path}: {error.strerror}") from error
    if format not in ("auto", *READERS):
        raise UsageError(f"format {format!r} is unknown: use one of auto, {', '.join(READERS)}")
    try:
        layout = Layout(path)
        # Folders of classes may look like folders of masks of one cell each.
        named = LabelFolder.format if class_folders and format == "auto" and path.is_dir() else format
        source = _open_as(named, layout, rle_order, crowds, partial)
    except OSError as error:
        raise SourceError(f"cannot read {error.filename or path}: {error.strerror}") from error
    source.is_chosen = format != "auto"
    if rle_order and source.order is None:
        raise UsageError(f"{path} has the format {source.format}, to which --rle-order does not apply")
    if crowds and source.format != COCOJSON.format:
        raise UsageError(f"{path} has the format {source.format}, to which --crowds does not apply")
    if components and not isinstance(source, (LabelFolder, MaskFolder)):
        raise UsageError(f"{path} has the format {source.format}, to which --components does not apply")
    source.components = cast("Components | None", components)
    if class_folders:
        _take_folders_as_classes(source)
    return _taking(source, partial, category_map)


def _take_folders_as_classes(source: Source) -> None:
    if not isinstance(source, LabelFolder):
        raise UsageError(
            f"{source.path} has the format {source.format}: --class-folders applies only to folders of label images"
        )
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
        The true cells, or their path. For COCO results, the COCO file that lists their images.

    Raises
    ------
    SourceError, UsageError
        As for `open_source`; SourceError also for COCO results if the truth is not a COCO file.
    """
    path = as_place(path)
    if format in ("auto", COCOJSON.format) and is_coco_results(path):
        if crowds or components:
            raise UsageError(f"{path} contains COCO results, to which --crowds and --components do not apply")
        results = COCOResults(path, as_source(truth, {}, "truth")[0])
        return _taking(results, partial or ALL_ANNOTATED, category_map)
    return open_source(path, format, rle_order, crowds, components, partial, category_map)


def as_source(source: Any, keywords: Mapping[str, Any], name: str = "source") -> tuple[Source, dict[str, Any]]:
    """Return a source, given in any form, and the keywords that do not belong to it.

    Parameters
    ----------
    source
        The source, its path, or label images: an array, (H, W), or arrays by image id.
    keywords
        Options by name; those of `SourceOptions` define how a path is read.
    name
        Name of the source for messages.

    Raises
    ------
    UsageError
        If it is something else, or options of reading are given for an opened source.
    SourceError
        As for `open_source`.
    """
    how, others = parted(keywords, SourceOptions)
    if is_place(source) or is_frame(source):
        return options_of(SourceOptions, None, how).open(source), others
    partial, how = parted(how, Partial) if not isinstance(source, Source | Store) else ({}, how)
    if how:
        raise UsageError(f"{', '.join(how)}: options for reading must be given to open_source")
    if isinstance(source, Source):
        return source, others
    if isinstance(source, Store):
        return open_source(source.path), others
    if labels := as_label_arrays(source):
        return _taking(LabelArrays(labels), options_of(Partial, None, partial)), others
    raise UsageError(
        f"{name} is {described(source)}: give a path, the result of open_source, or labels: (H, W) whole numbers, or "
        "{id: labels}"
    )


def as_prediction(predicted: Any, truth: Source) -> Source:
    """Return predicted cells, given in any form, as `as_source` does; a path may lead to COCO results."""
    return open_prediction(predicted, truth) if is_place(predicted) else as_source(predicted, {}, "predicted")[0]


def _taking(source: Source, partial: Partial, category_map: Any = None) -> Source:
    """Set the annotated part and the categories of a source, and return it.

    Raises
    ------
    UsageError
        If numbers of label images are to be ignored, and it has none, or a category is unknown.
    """
    if partial.ignore_labels and not source.has_numbers:
        able = ", ".join(name for name, reader in READERS.items() if reader.has_numbers)
        raise UsageError(
            f"{source.path} has the format {source.format}, which has no label images: --ignore-label applies to "
            f"{able}; use --ignore-class for a class"
        )
    source.partial = partial
    if category_map is None:
        return source
    categories = category_map if isinstance(category_map, CategoryMap) else read_category_map(category_map)
    if both := set(categories.dropped).intersection(partial.classes):
        raise UsageError(f"class {min(both)!r} is both dropped by the category map and ignored: choose one")
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
        # Every CSV is first opened as Kaggle's, so that it is read only once; others are then examined further.
        if format == "auto" and reader is KaggleCSV and VIA.recognises(layout.path):
            return _open(VIA, layout, order, crowds, partial)
        raise


def _open_frame(frame: "DataFrame", format: str, order: Order | None, crowds: Crowds | None) -> Source:  # noqa: A002
    if format not in ("auto", KaggleCSV.format) or crowds:
        raise UsageError(f"a data frame is read as {KaggleCSV.format}: omit other formats, and crowds")
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
        raise SourceError(f"{path} has an unknown format: {found} (formats that can be read: {known})")
    if is_folder and (problem := layout.problem()):
        raise SourceError(problem)
    if found := ends_of(path):
        raise SourceError(f"{path} has an unknown format: {found} (formats that can be read: {known})")
    raise SourceError(f"{path} has an unknown format: give one of these, with --format: {known}")


def _is_of(reader: type[Source], layout: Layout) -> bool:
    """Return whether a reader accepts a folder, by a layout that is scanned once."""
    if issubclass(reader, FolderSource) and layout.path.is_dir():
        return reader.fits(layout)
    return reader.recognises(layout.path)


def _refuse_several(layout: Layout, reader: type[Source]) -> None:
    """Refuse a folder with files of several formats, if it is unclear which to read."""
    if not (layout.path.is_dir() and issubclass(reader, DrawnFiles)):
        return
    own = [name for name, other in READERS.items() if issubclass(other, DrawnFiles) and other.fits(layout)]
    if len(own) > 1:
        raise SourceError(f"{layout.path} contains files of several formats: select one with --format {', '.join(own)}")


def _picture_problem(layout: Layout) -> str:
    """Return the problem of a folder with only lossy image formats; an empty string otherwise."""
    names = layout.names
    if not names or not all(name.lower().endswith((".jpg", ".jpeg", ".webp")) for name in names):
        return ""
    return (
        f"{layout.path} contains no readable annotations, only files such as {names[0]}, whose format changes "
        f"numbers: label images must be {', '.join(LABEL_FORMATS)}"
    )
