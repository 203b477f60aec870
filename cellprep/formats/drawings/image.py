"""Drawings of one image: a record that a worker parses."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cellprep.core.areas import runs_of_spans
from cellprep.errors import AnnotationError, RLEError
from cellprep.formats.annotations.record import Annotations, ImageRecord, check_excluded, check_shape, most_common
from cellprep.formats.drawings.shapes import Drawing, rasterised
from cellprep.system.files import read_file
from cellprep.text.wording import count

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnImage(ImageRecord):
    """Drawings of one image.

    Attributes
    ----------
    document
        Source of the annotations: the file of this image, or its part of a file.
    shape
        (H, W) of the image, in pixels; None if unknown before the document is read.
    """

    unit: ClassVar[str] = "shape"
    tells_shape: ClassVar[bool] = False

    document: Path | bytes
    shape: tuple[int, int] | None = None

    @property
    def needs_shape(self) -> bool:
        """True if the file lacks the image's size."""
        return self.shape is None and not self.tells_shape

    @property
    def place(self) -> str:
        """Position of the annotations, for messages."""
        if isinstance(self.document, bytes):
            return f"{self.source} image {self.file_name or self.image_id!r}"
        return str(self.document)

    def content(self) -> list[Any]:
        """Return the size and the hash of the document."""
        return [self.shape, hashlib.sha256(self._bytes()).hexdigest()]

    @abstractmethod
    def parse(self, document: bytes, shape: tuple[int, int]) -> list[Drawing]:
        """Return the annotations in a document.

        Parameters
        ----------
        document
            Bytes of the document.
        shape
            (H, W) of the image, in pixels.

        Raises
        ------
        CellprepError
            If the document is invalid; problems of single shapes are part of the result.
        """

    def shape_in(self, document: bytes) -> tuple[int, int]:
        """Return the image's size from the document, in formats that have it.

        Raises
        ------
        CellprepError
            If the document does not have it.
        """
        raise AnnotationError(
            f"{self.place} does not have the size of its image, and there is no image file: give the images (--images)"
        )

    def all_types(self) -> frozenset[str]:
        """Parse the document; nothing is rasterised, so that the image's size does not matter."""
        return frozenset(drawing.cell_type for drawing in self.parse(self._bytes(), self.shape or (1, 1)))

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Parse the document and rasterise its shapes."""
        size, drawings = self._drawings(shape)
        check_excluded(self.excluded, [drawing.row for drawing in drawings])
        kept = [drawing for drawing in drawings if drawing.row not in self.excluded]
        self._check_areas(kept)
        try:
            areas = rasterised(kept, size)
        except RLEError as error:
            raise AnnotationError(f"{self.place} {self.unit} {kept[error.place].row}: {error.problem}") from error
        cell_types = tuple(drawing.cell_type for drawing in kept)
        scores = tuple(drawing.score for drawing in kept if drawing.score is not None)
        every = [drawing.cell_type for drawing in drawings]
        return Annotations(
            runs=runs_of_spans(areas, size),
            rows=tuple(drawing.row for drawing in kept),
            cell_types=cell_types,
            cell_type=most_common(cell_types) or most_common(every),
            scores=scores if scores and len(scores) == len(kept) else None,
            names=tuple(drawing.name for drawing in kept) if any(drawing.name for drawing in kept) else None,
        )

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Rasterise the shapes one by one."""
        size, drawings = self._drawings(shape)
        found = {}
        for drawing in drawings:
            try:
                rasterised([drawing], size)
            except RLEError as error:
                found[drawing.row] = error.problem
        return found

    def _drawings(self, shape: tuple[int, int] | None) -> tuple[tuple[int, int], list[Drawing]]:
        document = self._bytes()
        known = None if self.tells_shape else self.shape or shape
        size = self.shape_in(document) if known is None else known
        check_shape(size)  # before anything is drawn
        return size, self.parse(document, size)

    def _bytes(self) -> bytes:
        if isinstance(self.document, bytes):
            return self.document
        try:
            return read_file(self.document)
        except OSError as error:
            raise AnnotationError(f"cannot read {self.document}: {error.strerror}") from error

    def _check_areas(self, drawings: Sequence[Drawing]) -> None:
        """Refuse shapes without an area, all of them in one message."""
        without = [(drawing.row, what) for drawing in drawings if (what := drawing.without_area)]
        if without:
            some = ", ".join(f"{self.unit} {row} ({what})" for row, what in without[:_NAMED])
            more = f" and {len(without) - _NAMED:,} more" if len(without) > _NAMED else ""
            raise AnnotationError(
                f"{self.place}: {count(len(without), self.unit)} of {len(drawings):,} without an area: {some}{more}: "
                "draw outlines around the cells, or exclude these (--exclude)"
            )
