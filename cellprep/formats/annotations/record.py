"""Records, which every reader gives: a small record of each image, which a worker turns into its annotations."""

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
from cellprep.formats.annotations.partial import ALL_ANNOTATED, Ignored, Partial, named_class, named_label
from cellprep.formats.images.file import ImageFile, Pixels
from cellprep.formats.images.orientation import Orientation
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions, with_planes
from cellprep.store.metadata import LONGEST_TYPE
from cellprep.system.memory import check_memory

#: How many neighbours a pixel is connected to, where connected pieces are cells.
Components = Literal[4, 8]

_LEAST_BYTES = 4  # of memory a pixel, whatever is made of it
_LONGEST_SIDE = 1_000_000  # pixels: a few bytes may claim more, and cost hours
_LARGEST = 100_000_000  # pixels of an annotation
_MOST_BOXES = 2**27  # pixels in the boxes of all annotations together, or so many times those of the image:
_BOXES_A_PIXEL = 8


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of one image.

    Attributes
    ----------
    runs
        Their masks, which may overlap.
    rows
        (n,) where each stands in its source: the row of a CSV as a spreadsheet counts it (the header is row 1), the
        id of a COCO annotation, the number of a label, or the place of a mask file among those of its image.
    cell_types
        (n,) their categories; empty text where the source has none.
    cell_type
        The image's category; empty text if it has none.
    areas
        (n,) int64: pixels of each before overlaps, if `runs` no longer tell.
    overlap
        The rule by which overlaps were resolved before, if they were.
    ignore
        (H, W) bool: the pixels of which nobody has said what they are, if the source marks some.
    pixel_size
        Side of a pixel in micrometres, if the source tells.
    scores
        (n,) how sure a network is of each, if the source tells of all.
    names
        (n,) what each is called, empty text where nothing tells, if the format has names.
    ignored
        How much of the image is ignored, if something was to be.
    shrink
        At 1/N of which size they are: a store may hold images so.
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
        """Refuse masks that claim much more than cells do: two numbers can claim a whole huge image."""
        pixels = self.runs.shape[0] * self.runs.shape[1]
        most = max(_MOST_BOXES, _BOXES_A_PIXEL * pixels)
        if pixels > _LARGEST and (areas := self.runs.areas).max(initial=0) > _LARGEST:
            raise AnnotationError(
                f"its annotation {self.rows[int(areas.argmax())]} has {areas.max():,} pixels: {_LARGEST:,} at most"
            )
        if pixels * len(self.rows) > most and (boxes := WindowedRuns.of(self.runs).box_areas.sum()) > most:
            raise AnnotationError(
                f"its {len(self.rows):,} annotations lie in boxes of {boxes:,} pixels together: {most:,} at most"
            )

    def without(self, rows: frozenset[int]) -> "Annotations":
        """Leave out the annotations of some rows."""
        if not rows:
            return self
        check_excluded(rows, self.rows)
        return self.take(np.array([row not in rows for row in self.rows], bool))

    def take(self, kept: NDArray[np.bool_]) -> "Annotations":
        """Return only some of the annotations: `kept` is (n,) bool."""
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
        )

    def without_classes(self, classes: Sequence[str]) -> "Annotations":
        """Leave out the annotations of some classes."""
        return self.take(~self._are_of(classes)) if classes else self

    def part(self, partial: Partial) -> "Annotations":
        """Return what is annotated, and put all else into the regions to ignore.

        A cell goes there if it touches the edge, and that is wanted, or if more than half of its pixels are in
        regions that are marked. The pixels of other cells stay theirs.

        Raises
        ------
        AnnotationError
            If there is no region that says what is annotated, though such regions do.
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
        """Return the pixels, (H, W), of the regions that classes mark, and of all that is outside annotated ones."""
        region = self.runs.take(self._are_of(partial.ignore_classes)).covered()
        if partial.annotated_classes:
            annotated = self.runs.take(self._are_of(partial.annotated_classes))
            if not len(annotated):
                names = " or ".join(map(repr, partial.annotated_classes))
                raise AnnotationError(
                    f"it has no region of the class {names}, which would say what of it is annotated: draw one, or "
                    "leave the image out (--exclude)"
                )
            region |= ~annotated.covered()
        return region

    def _are_of(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        return np.array([name in classes for name in self.cell_types], bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord(ABC):
    """A record of an image: small enough to send to another process, which loads the rest.

    Attributes
    ----------
    image_id
        The image's name in the source, and in a store.
    source
        Name of the source, for messages.
    pixels
        The image itself, if the source has it.
    file_name
        Name of the image's file, if the source tells one that may differ from the id.
    excluded
        Rows of the annotations to leave out.
    orientation
        Whether Orientation tags of its files are applied, where nothing tells.
    partial
        What of it is annotated.
    rows_are_labels
        Whether the rows of its annotations are the numbers of a label image.
    knows_pixel_size
        Whether its annotations tell the size of a pixel, also where only its image does.
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

    @property
    def needs_shape(self) -> bool:
        """Whether `load` must be told the image's size."""
        return False

    @abstractmethod
    def content(self) -> list[Any]:
        """Return everything that the annotations follow from, as JSON has it: texts, or hashes of files."""

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Return the annotations, without those that are excluded or to be ignored.

        Parameters
        ----------
        shape
            (H, W) of the image, for sources that tell no sizes.

        Raises
        ------
        CellprepError
            Naming the place and the value at fault.
        """
        found = self.read(shape)
        if not self.partial:
            return found
        try:
            return found.part(self.partial)
        except AnnotationError as error:
            raise AnnotationError(f"{self.source} image {self.image_id!r}: {error}") from error

    @abstractmethod
    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Return the annotations as `load` does, with those that are regions to ignore among them.

        Numbers of a label image that are to be ignored are in `Annotations.ignore` already.
        """

    def known_types(self) -> frozenset[str] | None:
        """Return the types of its annotations, empty text for those without; None if only `load` tells."""
        return None

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Return for each row what is wrong with its mask, where it can be told apart from the others."""
        return {}

    def fingerprint(self) -> str:
        """Return a SHA-256, in hex, of everything that targets may depend on."""
        return self._hash_of(self.content())

    def fingerprinted(self) -> tuple[str, Self]:
        """Return its `fingerprint`, and the record, which may hold what was read for it, to be loaded from there."""
        return self.fingerprint(), self

    def _hash_of(self, content: list[Any]) -> str:
        return digest([*content, sorted(self.excluded), *([self.partial.content()] if self.partial else [])])

    def without(self, rows: Iterable[int]) -> Self:
        """Leave out the annotations of some more rows."""
        return replace(self, excluded=self.excluded.union(rows))

    def read_as(
        self, orientation: Orientation | None, *, keep_channels: bool = False, planes: StackOptions | None = None
    ) -> Self:
        """Choose how image files are read, as `cellprep.formats.images.file.ImageFile` has it.

        Raises
        ------
        UsageError
            If planes are chosen, and its image is in no file.
        """
        pixels = with_planes(self.pixels, planes)
        if isinstance(pixels, ImageFile):
            pixels = replace(pixels, orientation=orientation, keep_channels=keep_channels)
        return replace(self, pixels=pixels, orientation=orientation)

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres, as its files tell them; None if none does."""
        return None if self.pixels is None else self.pixels.sides()

    def picture_tag(self) -> int:
        """Return the Orientation tag of its picture, with which that of its labels may agree."""
        return self.pixels.tag() if isinstance(self.pixels, ImageFile) else 1


@dataclass(frozen=True, slots=True)
class FaultyImage:
    """An image of which the reader already knows that it cannot be built.

    Attributes
    ----------
    image_id
        The image's name in the source, be it a legal one or not.
    problem
        What is wrong, where, and what would be right.
    """

    image_id: str
    problem: str


def check_shape(shape: tuple[int, int]) -> None:
    """Refuse the size, (H, W), of an image that no memory holds, or that is too long: a file may claim any.

    Raises
    ------
    TooLargeError
        If there is not the memory for it.
    AnnotationError
        If it is too long.
    """
    height, width = shape
    check_memory(height * width * _LEAST_BYTES, f"its image, {height} x {width} pixels,")
    if max(height, width) > _LONGEST_SIDE:
        raise AnnotationError(f"its image, {height} x {width} pixels, is longer than {_LONGEST_SIDE:,} pixels")


def check_excluded(excluded: frozenset[int], rows: Sequence[int]) -> None:
    """Raise AnnotationError if a row that is to be left out is not among those of its image."""
    if strangers := sorted(excluded.difference(rows)):
        raise AnnotationError(f"row {strangers[0]} is to be left out, but none of its annotations has this row")


def digest(content: Any) -> str:
    """Return the SHA-256, in hex, of something that JSON can express."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def most_common(cell_types: Sequence[str]) -> str:
    """Return the category of most cells that have one; the first of equals; empty text if none has."""
    counts = Counter(name for name in cell_types if name)
    return counts.most_common(1)[0][0] if counts else ""
