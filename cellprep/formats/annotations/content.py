"""Content of an image for writers: labels and masks, cell types, and its picture."""

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
        Mask of each cell, with at least one pixel.
    numbers
        (n,) label of each cell.
    cell_types
        (n,) type of each cell; an empty string if it has none.
    scores
        (n,) confidence of each cell; None if unknown.
    names
        (n,) name of each cell, an empty string if it has none; None if the source has no names.
    type_scores
        (n,) probability of the type of each cell; None if unknown.
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
        Its type; an empty string if it has none.
    score
        Confidence; None if unknown.
    polygons
        Polygons, as returned by `cellprep.core.outlines.trace_outlines`.
    name
        Name; an empty string if it has none.
    type_score
        Probability of its type; None if unknown.
    """

    number: int
    cell_type: str
    score: float | None
    polygons: list[Polygon]
    name: str = ""
    type_score: float | None = None

    @property
    def area(self) -> float:
        """Area of the polygons, in pixels."""
        return sum(_area(ring) for polygon in self.polygons for ring in polygon)


def _area(ring: NDArray[np.int64]) -> float:
    """Return the area of a closed ring by the shoelace formula, which is negative for holes."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of an image, which formats refer to or include.

    Attributes
    ----------
    place
        Path of its file, on this machine or as given by the source; an empty string if unknown.
    pixels
        The picture to include; None if only its path is used.
    shape
        (H, W) of the annotations.
    """

    place: str = ""
    pixels: Pixels | None = None
    shape: tuple[int, int] | None = None

    def suffix(self) -> str:
        """Return the file extension of the included picture."""
        return self.pixels.path.suffix if self._is_as_stored() and isinstance(self.pixels, ImageFile) else ".tif"

    def content(self) -> bytes:
        """Return the bytes of the included picture: its own file, or a TIFF if it is from a store or was rotated."""
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
        """Return the included picture, (H, W) or (C, H, W), in the orientation of its annotations."""
        assert self.pixels is not None
        decoded = self.pixels.decode()
        return decoded if self.shape is None else fitting(self.pixels, decoded, self.shape)

    def _is_as_stored(self) -> bool:
        """Return whether other programs show the file as annotated: it is neither rotated nor a part of a file."""
        if not isinstance(self.pixels, ImageFile) or self.pixels.planes or self.pixels.is_of_microscope:
            return False
        return self.pixels.tag() == 1


@dataclass(frozen=True)
class Content:
    """The cells of one image.

    Attributes
    ----------
    image_id
        Id of the image.
    labels
        (H, W) uint16 or uint32, 0 = background, with overlaps resolved.
    visible
        Labels with pixels, in ascending order.
    cell_types
        Type of each visible cell; an empty string if it has none.
    image_type
        Most frequent type of its cells; an empty string if they have none.
    ignore
        (H, W), nonzero in regions to ignore; None if there are none.
    pixel_size
        Side of a pixel in micrometres, if known.
    hidden_rows
        Source rows of the cells without pixels.
    scores
        Confidence of each visible cell; None if unknown.
    names
        Name of each visible cell, an empty string if it has none; None if the source has no names.
    type_scores
        Probability of the type of each visible cell; None if unknown.
    annotated
        The cells before overlaps are resolved; None if `labels` is complete.
    picture
        Its picture, if known.
    types
        Sorted types of the cells of all images; an empty string stands for cells without a type.
    fold
        Part of the data set: ``train`` or ``val``.
    simplify
        Largest deviation of simplified outlines, in pixels.
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
        """Height and width in pixels."""
        height, width = self.labels.shape
        return height, width

    def taken_picture(self) -> dict[str, bytes]:
        """Return the included picture by file name, ``<id>`` with the file's extension; empty if it is not included."""
        if self.picture is None or self.picture.pixels is None:
            return {}
        return {f"{self.image_id}{self.picture.suffix()}": self.picture.content()}

    def picture_place(self) -> str:
        """Return the path of a picture that is not included; an empty string if unknown."""
        return self.picture.place if self.picture else ""

    def masks(self, order: Order = "row") -> Masks:
        """Return the masks of its cells, as annotated if known, in the given pixel order."""
        if self.annotated is None:
            runs = runs_from_labels(self.labels, order)[0]
            return Masks(runs, self.visible, self.cell_types, self.scores, self.names, self.type_scores)
        known = self.annotated
        return replace(known, runs=Runs.joined([piece.in_order(order) for piece in known.runs.pieces()]))

    @property
    def known(self) -> "Masks | Content":
        """The object with the types, scores and names of its `masks`."""
        return self.annotated or self

    @cached_property
    def exact_outlines(self) -> list[list[Polygon]]:
        """The exact polygons of each of its `masks`."""
        if self.annotated is None:
            return list(trace_outlines(self.labels).values())
        return list(trace_masks(self.annotated.runs))

    def outlines(self) -> Iterator[Outline]:
        """Yield the outline of each of its cells, simplified if requested."""
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
    """Entry of an image in files that list images.

    Attributes
    ----------
    id
        Id of the image.
    shape
        (H, W), in pixels.
    file_name
        Name of its file; an empty string if unknown.
    fold
        Part of the data set.
    """

    id: str
    shape: tuple[int, int]
    file_name: str = ""
    fold: str = "train"


@dataclass(frozen=True, slots=True)
class Whole:
    """Facts about all images.

    Attributes
    ----------
    types
        Sorted types of the cells of all images; an empty string stands for cells without a type.
    what
        Noun phrase for the content, for descriptions.
    """

    types: tuple[str, ...] = ("",)
    what: str = "labels exported"


def read_content(image: StoredImage) -> Content:
    """Read the content of a stored image for export.

    Raises
    ------
    StoreError
        If its arrays are damaged or inconsistent.
    """
    labels, cells = image.read("labels"), image.read("cells")
    areas = np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:]
    if len(areas) > len(cells) or labels.shape != image.shape:
        raise StoreError(f"{image.path}: its labels and its table of {len(cells)} cells are inconsistent")
    names = [*image.metadata.categories, ""]  # index -1, no category, is the last
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
