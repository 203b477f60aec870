"""Rows of a CSV that belong to one image."""

from dataclasses import dataclass
from typing import Any

from cellprep.core.rle import Order, parse_rle
from cellprep.errors import AnnotationError, RLEError
from cellprep.formats.annotations.record import Annotations, ImageRecord, check_excluded, most_common


@dataclass(frozen=True, slots=True, kw_only=True)
class CSVImage(ImageRecord):
    """Rows of one image.

    Attributes
    ----------
    shape
        (H, W), in pixels; None if the file does not have it.
    masks
        (n,) run-length texts.
    order
        Order of pixels in the texts.
    rows, cell_types
        (n,) as in `Annotations`.
    cell_type
        Category of the image, which an image without cells may have as well.
    """

    shape: tuple[int, int] | None
    masks: tuple[str, ...]
    order: Order
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    cell_type: str

    @property
    def needs_shape(self) -> bool:
        """True if the file lacks the image's size."""
        return self.shape is None

    def content(self) -> list[Any]:
        """Return all fields."""
        return [self.shape, self.order, self.masks, self.rows, self.cell_types, self.cell_type]

    def known_types(self) -> frozenset[str]:
        """Return the types of its annotations; rows without a mask do not count."""
        return frozenset(name for name, mask in zip(self.cell_types, self.masks, strict=True) if mask.strip())

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Parse the masks."""
        check_excluded(self.excluded, self.rows)
        kept = [place for place, row in enumerate(self.rows) if row not in self.excluded]
        if len(kept) == 1 and not self.masks[kept[0]].strip():
            kept = []  # an empty mask, after others were excluded
        masks = [self.masks[place] for place in kept]
        rows = tuple(self.rows[place] for place in kept)
        for row, mask in zip(rows, masks, strict=True):
            if not mask.strip():
                raise AnnotationError(
                    f"{self.source} row {row}: the annotation is empty, but there are others: only an image without "
                    "cells may have an empty one"
                )
        try:
            runs = parse_rle(masks, self._shape(shape), self.order)
        except RLEError as error:
            raise AnnotationError(f"{self.source} row {rows[error.place]}: {error.problem}") from error
        cell_types = tuple(self.cell_types[place] for place in kept)
        return Annotations(runs, rows, cell_types, most_common(cell_types) or self.cell_type)

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Parse the masks one by one."""
        found = {}
        for row, mask in zip(self.rows, self.masks, strict=True):
            try:
                parse_rle([mask], self._shape(shape), self.order)
            except RLEError as error:
                found[row] = error.problem
            if not mask.strip():
                found[row] = "the annotation is empty, but there are others"
        return found

    def _shape(self, shape: tuple[int, int] | None) -> tuple[int, int]:
        known = self.shape or shape
        if known is None:
            raise AnnotationError(f"{self.source} has no columns width and height: give the image files (--images)")
        return known
