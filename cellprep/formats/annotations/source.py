"""Base class of readers: a source of image records."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from cellprep.core.cells import resolve_overlaps
from cellprep.core.rle import Order
from cellprep.core.thumbnails import draw_thumbnail
from cellprep.errors import CellprepError, ImageFileError, UsageError
from cellprep.formats.annotations.categories import CategoryMap
from cellprep.formats.annotations.partial import ALL_ANNOTATED
from cellprep.formats.annotations.record import Components, FaultyImage, ImageRecord
from cellprep.formats.annotations.table import COLUMNS, annotation_rows
from cellprep.formats.images.file import fitting
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.layouts.layout import Layout
from cellprep.store.documents import is_huge
from cellprep.system.executor import Failed, in_order, run_tasks
from cellprep.system.places import as_place
from cellprep.text.frames import make_frame
from cellprep.text.notebook import MOST_PICTURES, Row, notebook_html, shown_in_time
from cellprep.text.wording import count, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_LARGEST_FILE = 2**26  # bytes: larger files get no thumbnail


class Source(ABC):
    """Annotations in a file or folder.

    Parameters
    ----------
    path
        Path or URL of the annotations.
    order
        Order of pixels in run-length texts, for formats that do not define it.

    Attributes
    ----------
    path
        Path or URL of the annotations.
    name
        File or folder name, for messages and for the record in stores.
    format
        Name of the reader in `READERS`.
    in_files
        Whether it is stored at `path`, so that images may be next to it.
    order
        Order of pixels in run-length texts; None if the format defines it.
    sha256
        Hash of the source's content, in hex; for a folder, hash of the names and sizes of its files.
    needs_images
        Whether only the image files have the images' sizes.
    unannotated
        Names of the source's own images without annotations.
    is_chosen
        Whether the user chose the format, as opposed to automatic detection.
    components
        Connectivity of pixels, if connected components are cells, for formats that leave the choice.
    partial
        The annotated part of the images.
    categories
        The category map, if categories are renamed or dropped.
    has_numbers
        Whether cells are numbers of label images, some of which may be ignored.
    notes
        Remarks about how the source was read, one per line.
    """

    format: ClassVar[str]
    #: Message about a source of this format without the sizes of its images.
    no_sizes: ClassVar[str] = "has no columns width and height"
    in_files: ClassVar[bool] = True
    has_numbers: ClassVar[bool] = False
    sha256: str

    def __init__(self, path: Path, order: Order | None = None) -> None:
        self.path = path
        self.name = path.name if path.name not in ("", "..") else path.resolve().name
        self.order = order
        self.needs_images = False
        self.unannotated: list[str] = []
        self.is_chosen = False
        self.components: Components | None = None
        self.partial = ALL_ANNOTATED
        self.categories: CategoryMap | None = None
        self.notes: list[str] = []

    def __repr__(self) -> str:
        order = f", pixels counted by {self.order}" if self.order else ""
        return f"<{type(self).__name__} {printable(str(self.path))}: {count(len(self.image_ids), 'image')}{order}>"

    def _repr_html_(self) -> str:
        """Return the notebook view: a table, and thumbnails of its first images with cell outlines."""
        rows: list[Row] = [
            ("format", self.format),
            ("images", f"{len(self.image_ids):,}"),
            *([("pixels counted by", self.order)] if self.order else []),
            *([("without annotations", f"{len(self.unannotated):,}")] if self.unannotated else []),
            *([("notes", self.notes)] if self.notes else []),
        ]
        return notebook_html(f"Source {printable(str(self.path))}", rows, shown_in_time(self._thumbnails()))

    def _thumbnails(self) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
        """Yield the first images, each with a function that draws it."""
        for record in islice(self.images(), MOST_PICTURES):
            if isinstance(record, ImageRecord):
                yield record.image_id, partial(_draw, record)

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path looks like a source of this format."""

    @property
    @abstractmethod
    def image_ids(self) -> list[str]:
        """Ids of all images, in the source's order."""

    @property
    def has_pixels(self) -> bool:
        """True if the source itself contains images."""
        return False

    @property
    def file_names(self) -> dict[str, str]:
        """Names of the images' files by id, if the source gives names that may differ from the ids."""
        return {}

    @property
    def description(self) -> str:
        """One line about the format and how it was interpreted."""
        order = f", pixels counted by {self.order}" if self.order else ""
        pieces = f", connected components ({self.components} neighbours) as cells" if self.components else ""
        return f"{self.name}: {self.format}{order}{pieces}, images: {len(self.image_ids):,}"

    def values(self, column: str) -> dict[str, str]:
        """Return a column that does not belong to the annotations, such as the plate, by image.

        Raises
        ------
        UsageError
            If the source has no such column.
        SourceError
            If it has different values for one image.
        """
        raise UsageError(f"{self.name} has the format {self.format}, which has no columns such as {column!r}")

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield every image once, valid or not."""
        for record in self.records():
            if (self.partial or self.categories) and isinstance(record, ImageRecord):
                yield replace(record, partial=self.partial, categories=self.categories)
            else:
                yield record

    @property
    def declared_types(self) -> frozenset[str]:
        """Types that the source lists, even if no annotation has them."""
        return frozenset()

    def with_categories(self, categories: CategoryMap) -> Self:
        """Rename or drop categories, and add a note about it.

        Raises
        ------
        UsageError
            If the map names a category that the source does not have.
        """
        types = set(self.declared_types)
        for record in self.records():
            with suppress(CellprepError):  # the error is reported when the image is read
                types |= record.all_types() if isinstance(record, ImageRecord) else frozenset()
        self.notes.append(categories.check(types, self.name))
        self.categories = categories
        return self

    @abstractmethod
    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield every image once, as in the format."""

    def to_dataframe(self, images: Path | str | None = None, *, jobs: int = -1, quiet: bool = True) -> "DataFrame":
        r"""Return a data frame with one row per annotation.

        Parameters
        ----------
        images
            Folder of image files, for sources without sizes.
        jobs
            Number of processes; -1 for one per core.
        quiet
            Whether to hide the progress bar.

        Returns
        -------
        DataFrame
            ``image``, ``row``, ``cell_type``, ``area`` and bounding box in pixels, ``at_edge``, ``score``, ``height``
            and ``width`` of the image. Images that cannot be read come last, with their ``problem``.

        Examples
        --------
        >>> import tempfile
        >>> from cellprep import open_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     csv = Path(folder, "train.csv")
        ...     _ = csv.write_text("id,annotation,width,height\na,8 2 14 2,6,5\na,21 3,6,5\nb,99 1,6,5")
        ...     table = open_source(csv).to_dataframe(jobs=1)
        >>> table[["image", "row", "area", "bbox-0", "at_edge"]]
          image   row  area  bbox-0  at_edge
        0     a     2     4       1    False
        1     a     3     3       3    False
        2     b  <NA>  <NA>    <NA>     <NA>
        >>> table["problem"][2]
        "train.csv row 4: run '99 1' goes past the last pixel, 30 (5 x 6)"
        """
        folder = None if images is None else ImageFolder(as_place(images))
        tasks = [_with_file(record, folder) for record in self.images()]
        outcomes = run_tasks(annotation_rows, tasks, done="read", jobs=jobs, total=len(tasks), quiet=quiet)
        parts, failed = [], []
        for task, found in in_order(outcomes, tasks):
            if isinstance(found, Failed):
                failed.append({"image": [task.image_id], "problem": [found.problem]})
            else:
                parts.append(found)
        return make_frame([*parts, *failed], COLUMNS)


def _with_file(record: ImageRecord | FaultyImage, folder: ImageFolder | None) -> ImageRecord | FaultyImage:
    """Return a record with its image file, if needed for its size."""
    if folder is None or isinstance(record, FaultyImage) or not record.needs_shape:
        return record
    try:
        return replace(record, pixels=folder.find(record.image_id, record.file_name))
    except ImageFileError as error:
        return FaultyImage(record.image_id, str(error))


def _draw(record: ImageRecord) -> bytes | None:
    """Draw a thumbnail as PNG; None for a huge image, which would take long."""
    pixels = record.pixels
    files = [getattr(place, "path", None) for place in (pixels, record)]  # files of the image and its labels
    if any(isinstance(file, Path) and file.stat().st_size > _LARGEST_FILE for file in files):
        return None
    decoded = pixels.decode() if pixels else None
    annotations = record.load(decoded.shape[-2:] if record.needs_shape and decoded is not None else None)
    if is_huge(annotations.runs.shape):
        return None
    if pixels and decoded is not None:
        decoded = fitting(pixels, decoded, annotations.runs.shape)
        decoded = decoded if decoded.shape[-2:] == annotations.runs.shape else None
    return draw_thumbnail(decoded, resolve_overlaps(annotations.runs, areas=annotations.areas).labels)


class FolderSource(Source):
    """Annotations in a folder that is recognised by its layout.

    Parameters
    ----------
    path, order
        As for `Source`.
    layout
        Layout of the folder, if known; scanned by default.
    """

    @abstractmethod
    def __init__(self, path: Path, order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path, order)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path looks like a folder of this format."""
        return path.is_dir() and cls.fits(Layout(path))

    @classmethod
    @abstractmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder's layout belongs to this format."""
