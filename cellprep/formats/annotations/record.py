"""Records of images: small objects that readers yield and workers load annotations from."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle import Runs, WindowedRuns
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.categories import CategoryMap
from cellprep.formats.annotations.partial import ALL_ANNOTATED, Ignored, Partial, named_class, named_label
from cellprep.formats.images.file import ImageFile, Pixels
from cellprep.formats.images.orientation import Orientation
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions, with_planes
from cellprep.store.metadata import LONGEST_TYPE
from cellprep.system.memory import check_memory

#: Connectivity of pixels, if connected components are cells.
Components = Literal[4, 8]

_LEAST_BYTES = 4  # smallest memory per pixel for any use
_LONGEST_SIDE = 1_000_000  # pixels: a few bytes of a file may claim more, which would take hours
_LARGEST = 100_000_000  # pixels of an annotation
_MOST_BOXES = 2**27  # pixels in the boxes of all annotations together, or a multiple of the image's pixels:
_BOXES_A_PIXEL = 8


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of one image.

    Attributes
    ----------
    runs
        Masks of the annotations, which may overlap.
    rows
        (n,) position of each annotation in its source: the row of a CSV as in a spreadsheet (the header is row 1), the
        id of a COCO annotation, the number of a label, or the index of a mask file among those of its image.
    cell_types
        (n,) category of each annotation; an empty string if it has none.
    cell_type
        Category of the image; an empty string if it has none.
    areas
        (n,) int64: pixels of each annotation before overlaps were resolved, if they were resolved before.
    overlap
        The rule by which overlaps were resolved before, if any.
    ignore
        (H, W) bool: pixels that are marked as not annotated, if any.
    pixel_size
        Side of a pixel in micrometres, if the source has it.
    scores
        (n,) confidence of each annotation, if the source has all of them.
    names
        (n,) name of each annotation, an empty string if it has none, if the format has names.
    type_scores
        (n,) probability of the category of each annotation, if the source has all of them.
    ignored
        Counts of ignored parts, if something was to be ignored.
    shrink
        Factor by which masks are reduced already, as a store may contain reduced images.
    """

    runs: Runs
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    cell_type: str
    areas: NDArray[np.int64] | None = None
    overlap: str | None = None
    ignore: NDArray[np.bool_] | None = None
    pixel_size: float | None = None
    scores: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None
    type_scores: tuple[float, ...] | None = None
    ignored: Ignored | None = None
    shrink: int = 1

    def __post_init__(self) -> None:
        check_shape(self.runs.shape)
        self._check_claims()
        if long := [name for name in {*self.cell_types, self.cell_type} if len(name) > LONGEST_TYPE]:
            raise AnnotationError(
                f"the name of a cell type, {long[0][:20]!r}..., has {len(long[0]):,} characters: {LONGEST_TYPE} at most"
            )

    def _check_claims(self) -> None:
        """Refuse masks that claim much more than cells do: a few numbers can claim a whole huge image."""
        pixels = self.runs.shape[0] * self.runs.shape[1]
        most = max(_MOST_BOXES, _BOXES_A_PIXEL * pixels)
        if pixels > _LARGEST and (areas := self.runs.areas).max(initial=0) > _LARGEST:
            raise AnnotationError(
                f"its annotation {self.rows[int(areas.argmax())]} has {areas.max():,} pixels: {_LARGEST:,} at most"
            )
        if pixels * len(self.rows) > most and (boxes := WindowedRuns.of(self.runs).box_areas.sum()) > most:
            raise AnnotationError(
                f"its {len(self.rows):,} annotations have bounding boxes of {boxes:,} pixels in total: {most:,} at most"
            )

    def without(self, rows: frozenset[int]) -> "Annotations":
        """Remove the annotations of the given rows."""
        if not rows:
            return self
        check_excluded(rows, self.rows)
        return self.take(np.array([row not in rows for row in self.rows], bool))

    def take(self, kept: NDArray[np.bool_]) -> "Annotations":
        """Return a selection of annotations: `kept` is (n,) bool."""
        cell_types = tuple(compress(self.cell_types, kept))
        return replace(
            self,
            runs=self.runs.take(kept),
            rows=tuple(compress(self.rows, kept)),
            cell_types=cell_types,
            cell_type=most_common(cell_types) or self.cell_type,
            areas=None if self.areas is None else self.areas[kept],
            scores=None if self.scores is None else tuple(compress(self.scores, kept)),
            names=None if self.names is None else tuple(compress(self.names, kept)),
            type_scores=None if self.type_scores is None else tuple(compress(self.type_scores, kept)),
        )

    def without_classes(self, classes: Sequence[str]) -> "Annotations":
        """Remove the annotations of the given classes."""
        return self.take(~self._are_of(classes)) if classes else self

    def renamed(self, categories: CategoryMap) -> "Annotations":
        """Return the annotations with renamed categories."""
        (cell_type,) = categories.renamed([self.cell_type])
        cell_types = categories.renamed(self.cell_types)
        return replace(self, cell_types=cell_types, cell_type=most_common(cell_types) or cell_type)

    def part(self, partial: Partial) -> "Annotations":
        """Return the annotated part, and add everything else to the regions to ignore.

        A cell is ignored if it touches the edge, if requested, or if more than half of its pixels are in marked
        regions. Other cells keep all of their pixels.

        Raises
        ------
        AnnotationError
            If a class marks annotated regions, but the image has none.
        """
        cells = self.without_classes(partial.classes)
        region = self._region(partial)
        runs = cells.runs
        at_edge = WindowedRuns.of(runs).at_edge if partial.drop_edge else np.zeros(len(runs), bool)
        within = ~at_edge & (2 * runs.pixels_in(region) > runs.areas)
        kept = cells.take(~(at_edge | within))
        region = (region | runs.take(at_edge | within).covered()) & ~kept.runs.covered()
        region |= False if self.ignore is None else self.ignore
        told = self.ignored or Ignored(absent=frozenset(map(named_label, partial.ignore_labels)))
        absent = told.absent.union(map(named_class, set(partial.classes).difference(self.cell_types)))
        marked, annotated = (
            sum(map(self.cell_types.count, classes)) for classes in (partial.ignore_classes, partial.annotated_classes)
        )
        return replace(
            kept,
            cell_type="" if kept.cell_type in partial.classes else kept.cell_type,
            ignore=region if region.any() else None,
            ignored=Ignored(told.regions + marked, annotated, int(at_edge.sum()), int(within.sum()), absent),
        )

    def _region(self, partial: Partial) -> NDArray[np.bool_]:
        """Return the pixels, (H, W), of regions marked by classes, and of everything outside annotated regions."""
        region = self.runs.take(self._are_of(partial.ignore_classes)).covered()
        if partial.annotated_classes:
            annotated = self.runs.take(self._are_of(partial.annotated_classes))
            if not len(annotated):
                names = " or ".join(map(repr, partial.annotated_classes))
                raise AnnotationError(
                    f"it has no region of the class {names}, which marks the annotated part: draw one, or "
                    "exclude the image (--exclude)"
                )
            region |= ~annotated.covered()
        return region

    def _are_of(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        return np.array([name in classes for name in self.cell_types], bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord(ABC):
    """Record of an image: small enough to send to another process, which loads the rest.

    Attributes
    ----------
    image_id
        Id of the image in the source and in a store.
    source
        Name of the source, for messages.
    pixels
        The image, if the source has it.
    file_name
        Name of the image's file, if the source gives one that may differ from the id.
    excluded
        Rows of annotations to exclude.
    orientation
        Whether to apply Orientation tags of its files, if not decided otherwise.
    partial
        The annotated part of the image.
    categories
        The category map, if categories are renamed or dropped.
    rows_are_labels
        Whether the rows of its annotations are label numbers.
    knows_pixel_size
        Whether its annotations determine the pixel size, even if only its image has it.
    """

    rows_are_labels: ClassVar[bool] = False
    knows_pixel_size: ClassVar[bool] = False

    image_id: str
    source: str
    pixels: Pixels | None = None
    file_name: str = ""
    excluded: frozenset[int] = frozenset()
    orientation: Orientation | None = None
    partial: Partial = ALL_ANNOTATED
    categories: CategoryMap | None = None

    @property
    def needs_shape(self) -> bool:
        """True if `load` needs the image's size as an argument."""
        return False

    @abstractmethod
    def content(self) -> list[Any]:
        """Return everything that determines the annotations, as JSON values: text, or hashes of files."""

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Return the annotations, without those that are excluded or ignored.

        Parameters
        ----------
        shape
            (H, W) of the image, for sources without sizes.

        Raises
        ------
        CellprepError
            If something is invalid; the message names its position and value.
        """
        found = self.read(shape)
        if self.categories:
            found = found.without_classes(self.categories.dropped)
        if self.partial:
            try:
                found = found.part(self.partial)
            except AnnotationError as error:
                raise AnnotationError(f"{self.source} image {self.image_id!r}: {error}") from error
        return found.renamed(self.categories) if self.categories else found

    @abstractmethod
    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Return the annotations as `load` does, including those that are regions to ignore.

        Ignored numbers of a label image are already in `Annotations.ignore`.
        """

    def known_types(self) -> frozenset[str] | None:
        """Return the types of its annotations, an empty string for those without; None if only `read` knows them.

        These are the types in the source, before any are renamed, dropped or ignored.
        """
        return None

    def all_types(self) -> frozenset[str]:
        """Return its `known_types`, or read the annotations to find them.

        Raises
        ------
        CellprepError
            If they cannot be read.
        """
        known = self.known_types()
        return frozenset(self.read().cell_types) if known is None else known

    def loaded_types(self) -> frozenset[str] | None:
        """Return the types of the annotations that `load` returns; None if only `load` knows them."""
        known = self.known_types()
        if known is None:
            return None
        known = known.difference(self.partial.classes)
        return (
            frozenset(self.categories.renamed(known.difference(self.categories.dropped))) if self.categories else known
        )

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Return the problem of each row with an invalid mask, if they can be checked separately."""
        return {}

    def fingerprint(self) -> str:
        """Return a SHA-256, in hex, of everything that may affect targets."""
        return self._hash_of(self.content())

    def fingerprinted(self) -> tuple[str, Self]:
        """Return its `fingerprint`, and a record that may hold the data read for it, from which to load."""
        return self.fingerprint(), self

    def _hash_of(self, content: list[Any]) -> str:
        partial = [self.partial.content()] if self.partial else []
        categories = [{"categories": self.categories.content()}] if self.categories else []
        return digest([*content, sorted(self.excluded), *partial, *categories])

    def without(self, rows: Iterable[int]) -> Self:
        """Exclude the annotations of more rows."""
        return replace(self, excluded=self.excluded.union(rows))

    def read_as(
        self, orientation: Orientation | None, *, keep_channels: bool = False, planes: StackOptions | None = None
    ) -> Self:
        """Set how image files are read, as in `cellprep.formats.images.file.ImageFile`.

        Raises
        ------
        UsageError
            If planes are selected, but its image is not a file.
        """
        pixels = with_planes(self.pixels, planes)
        if isinstance(pixels, ImageFile):
            pixels = replace(pixels, orientation=orientation, keep_channels=keep_channels)
        return replace(self, pixels=pixels, orientation=orientation)

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres, from its files; None if unknown."""
        return None if self.pixels is None else self.pixels.sides()

    def picture_tag(self) -> int:
        """Return the Orientation tag of its picture, which the tag of its labels may match."""
        return self.pixels.tag() if isinstance(self.pixels, ImageFile) else 1


@dataclass(frozen=True, slots=True)
class FaultyImage:
    """An image that the reader already knows to be invalid.

    Attributes
    ----------
    image_id
        Id of the image in the source, valid or not.
    problem
        The problem, its position, and what is valid.
    """

    image_id: str
    problem: str


def check_shape(shape: tuple[int, int]) -> None:
    """Refuse the size, (H, W), of an image that does not fit into memory or is too long: files may claim any size.

    Raises
    ------
    TooLargeError
        If it does not fit into memory.
    AnnotationError
        If it is too long.
    """
    height, width = shape
    check_memory(height * width * _LEAST_BYTES, f"its image, {height} x {width} pixels,")
    if max(height, width) > _LONGEST_SIDE:
        raise AnnotationError(f"its image, {height} x {width} pixels, is longer than {_LONGEST_SIDE:,} pixels")


def check_excluded(excluded: frozenset[int], rows: Sequence[int]) -> None:
    """Raise AnnotationError if a row to exclude is not among those of its image."""
    if strangers := sorted(excluded.difference(rows)):
        raise AnnotationError(f"row {strangers[0]} is to be excluded, but none of its annotations has this row")


def digest(content: Any) -> str:
    """Return the SHA-256, in hex, of a JSON value."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def most_common(cell_types: Sequence[str]) -> str:
    """Return the most frequent category, the first in a tie; an empty string if there are none."""
    counts = Counter(name for name in cell_types if name)
    return counts.most_common(1)[0][0] if counts else ""
