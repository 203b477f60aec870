"""The content of an image that is written: its labels and masks, the type of each cell, and its picture."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.outlines import Polygon, simplify_polygons, trace_masks, trace_outlines
from cellprep.core.rle import Order, Runs, runs_from_labels
from cellprep.errors import ImageFileError, StoreError
from cellprep.formats.images.file import ImageFile, Pixels, fitting
from cellprep.store import StoredImage
from cellprep.system.files import read_file


@dataclass(frozen=True, slots=True)
class Masks:
    """The cells of an image as masks, which may overlap.

    Attributes
    ----------
    runs
        The mask of each cell, of at least one pixel.
    numbers
        (n,) the label of each.
    cell_types
        (n,) its type; empty text where the source has none.
    scores
        (n,) how sure a network is of each; None if unknown.
    names
        (n,) what each is called, empty text where nothing tells; None if the source has no names.
    type_scores
        (n,) the probability of each one's type; None if unknown.
    """

    runs: Runs
    numbers: list[int]
    cell_types: list[str]
    scores: list[float] | None = None
    names: list[str] | None = None
    type_scores: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of a cell.

    Attributes
    ----------
    number
        Its label.
    cell_type
        Its type; empty text if it has none.
    score
        How sure a network is of it; None if unknown.
    polygons
        Its polygons, as `cellprep.core.outlines.trace_outlines` returns them.
    name
        What it is called; empty text if nothing tells.
    type_score
        The probability of its type; None if unknown.
    """

    number: int
    cell_type: str
    score: float | None
    polygons: list[Polygon]
    name: str = ""
    type_score: float | None = None

    @property
    def area(self) -> float:
        """What the polygons enclose, in pixels."""
        return sum(_area(ring) for polygon in self.polygons for ring in polygon)


def _area(ring: NDArray[np.int64]) -> float:
    """Return the area of a closed ring by the shoelace formula, that of a hole being negative."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of an image, as formats name it or take it along.

    Attributes
    ----------
    place
        Where its file is: on this machine, or as the source tells it; empty text if that is unknown.
    pixels
        The picture, to be taken along; None if it stays where it is.
    shape
        (H, W) of the annotations.
    """

    place: str = ""
    pixels: Pixels | None = None
    shape: tuple[int, int] | None = None

    def suffix(self) -> str:
        """Return how the name of the file ends that is taken along."""
        return self.pixels.path.suffix if self._is_as_stored() and isinstance(self.pixels, ImageFile) else ".tif"

    def content(self) -> bytes:
        """Return the bytes of the file that is taken along: its own, or a TIFF of what is in a store or turned."""
        if self._is_as_stored() and isinstance(self.pixels, ImageFile):
            try:
                return read_file(self.pixels.path)
            except OSError as error:
                raise ImageFileError(f"cannot read {self.pixels}: {error.strerror}") from error
        fitted = self.decode()
        channels = fitted.ndim == 3 and len(fitted) in (3, 4) and fitted.dtype == np.uint8
        import tifffile

        file = io.BytesIO()
        tifffile.imwrite(
            file, np.moveaxis(fitted, 0, -1) if channels else fitted, photometric="rgb" if channels else "minisblack",
            compression="zlib", metadata=None,
        )  # fmt: skip
        return file.getvalue()

    def decode(self) -> NDArray[Any]:
        """Return the picture that is taken along, (H, W) or (C, H, W), turned as its annotations are."""
        assert self.pixels is not None
        decoded = self.pixels.decode()
        return decoded if self.shape is None else fitting(self.pixels, decoded, self.shape)

    def _is_as_stored(self) -> bool:
        """Return whether other programs show the file as the annotations have it: it is not turned, and not a part."""
        if not isinstance(self.pixels, ImageFile) or self.pixels.planes or self.pixels.is_of_microscope:
            return False
        return self.pixels.tag() == 1


@dataclass(frozen=True)
class Content:
    """The cells of one image.

    Attributes
    ----------
    image_id
        The image.
    labels
        (H, W) uint16 or uint32, 0 = background: overlaps are resolved.
    visible
        The labels that have pixels, in ascending order.
    cell_types
        The type of each of these; empty text where the source has none.
    image_type
        The type of most cells; empty text if the source has none.
    ignore
        (H, W), non-zero in regions to ignore; None if there are none.
    pixel_size
        Side of a pixel in micrometres, if known.
    hidden_rows
        Source rows of the cells without pixels.
    scores
        How sure a network is of each visible cell; None if unknown.
    names
        What each visible cell is called, empty text where nothing tells; None if the source has no names.
    type_scores
        The probability of the type of each visible cell; None if unknown.
    annotated
        The cells before overlaps are resolved; None where `labels` tell all.
    picture
        Its picture, if known.
    types
        The types of all images' cells, sorted; empty text stands for cells without one.
    fold
        The part of the data set that it is in: ``train`` or ``val``.
    simplify
        By how many pixels outlines may differ from the exact ones.
    """

    image_id: str
    labels: NDArray[Any]
    visible: list[int]
    cell_types: list[str]
    image_type: str
    ignore: NDArray[Any] | None
    pixel_size: float | None
    hidden_rows: tuple[int, ...]
    scores: list[float] | None = None
    names: list[str] | None = None
    type_scores: list[float] | None = None
    annotated: Masks | None = None
    picture: Picture | None = None
    types: tuple[str, ...] = ("",)
    fold: str = "train"
    simplify: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        height, width = self.labels.shape
        return height, width

    def taken_picture(self) -> dict[str, bytes]:
        """Return the picture's file by its name, ``<id>`` with the file's own end; nothing if it stays where it is."""
        if self.picture is None or self.picture.pixels is None:
            return {}
        return {f"{self.image_id}{self.picture.suffix()}": self.picture.content()}

    def picture_place(self) -> str:
        """Return where the picture is that stays there; empty text if that is unknown."""
        return self.picture.place if self.picture else ""

    def masks(self, order: Order = "row") -> Masks:
        """Return the masks of its cells, as annotated where that is known; pixels are counted in an order."""
        if self.annotated is None:
            runs = runs_from_labels(self.labels, order)[0]
            return Masks(runs, self.visible, self.cell_types, self.scores, self.names, self.type_scores)
        known = self.annotated
        return replace(known, runs=Runs.joined([piece.in_order(order) for piece in known.runs.pieces()]))

    @property
    def known(self) -> "Masks | Content":
        """What tells the types, scores and names of its `masks`."""
        return self.annotated or self

    @cached_property
    def exact_outlines(self) -> list[list[Polygon]]:
        """The exact polygons of each of its `masks`."""
        if self.annotated is None:
            return list(trace_outlines(self.labels).values())
        return list(trace_masks(self.annotated.runs))

    def outlines(self) -> Iterator[Outline]:
        """Yield the outline of each of its cells, simplified where that is asked for."""
        known = self.known
        numbers = self.visible if self.annotated is None else self.annotated.numbers
        for place, polygons in enumerate(self.exact_outlines):
            yield Outline(
                numbers[place],
                known.cell_types[place],
                None if known.scores is None else known.scores[place],
                simplify_polygons(polygons, self.simplify),
                known.names[place] if known.names else "",
                None if known.type_scores is None else known.type_scores[place],
            )


@dataclass(frozen=True, slots=True)
class Listed:
    """An image as files list it.

    Attributes
    ----------
    id
        Its name.
    shape
        (H, W), in pixels.
    file_name
        The name of its file; empty text if unknown.
    fold
        The part of the data set that it is in.
    """

    id: str
    shape: tuple[int, int]
    file_name: str = ""
    fold: str = "train"


@dataclass(frozen=True, slots=True)
class Whole:
    """What is known of all images together.

    Attributes
    ----------
    types
        The types of their cells, sorted; empty text stands for cells without one.
    what
        What they are, for descriptions.
    """

    types: tuple[str, ...] = ("",)
    what: str = "labels exported"


def read_content(image: StoredImage) -> Content:
    """Read what can be exported of an image.

    Raises
    ------
    StoreError
        If its arrays are damaged, or contradict each other.
    """
    labels, cells = image.read("labels"), image.read("cells")
    areas = np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:]
    if len(areas) > len(cells) or labels.shape != image.shape:
        raise StoreError(f"{image.path}: its labels and its table of {len(cells)} cells contradict each other")
    names = [*image.metadata.categories, ""]  # index -1 is the last
    ignore = image.read("ignore") if "ignore" in image.arrays else None
    return Content(
        image_id=image.id,
        labels=labels,
        visible=(np.flatnonzero(areas) + 1).tolist(),
        cell_types=[names[index] for index in cells[areas > 0, 2]],
        image_type=image.metadata.cell_type or "",
        ignore=ignore if ignore is not None and ignore.any() else None,
        pixel_size=image.metadata.pixel_size,
        hidden_rows=tuple(cells[areas == 0, 0].tolist()),
    )
