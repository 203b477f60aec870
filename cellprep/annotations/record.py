"""The record that every reader gives: one image's annotations, small enough to send to another process."""

import hashlib
import json
from dataclasses import dataclass

from cellprep.errors import AnnotationError, RLEError
from cellprep.rle import Order, Runs, parse_rle

__all__ = ["FaultyImage", "ImageAnnotations"]


@dataclass(frozen=True, slots=True)
class ImageAnnotations:
    """All annotations of one image, as their source has them.

    Attributes
    ----------
    image_id
        The image's name in the source, and in a store.
    height, width
        Size of the image, in pixels.
    masks
        (n,) run-length texts, one per annotation.
    order
        The order in which the texts count pixels.
    rows
        (n,) rows of the source, one per annotation, as a spreadsheet counts them: the header is row 1.
    cell_types
        (n,) the annotations' categories; empty text where the source has none.
    cell_type
        The image's category: that of most of its annotations that have one; empty text if none has.
    source
        Name of the source, for messages.
    """

    image_id: str
    height: int
    width: int
    masks: tuple[str, ...]
    order: Order
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    cell_type: str
    source: str

    def runs(self) -> Runs:
        """Parse the masks.

        Raises
        ------
        AnnotationError
            Naming the row and the value at fault.
        """
        try:
            return parse_rle(self.masks, (self.height, self.width), self.order)
        except RLEError as error:
            raise AnnotationError(f"{self.source} row {self.rows[error.place]}: {error.problem}") from error

    def fingerprint(self) -> str:
        """Return a SHA-256, in hex, of everything that targets may depend on."""
        content = [self.height, self.width, self.order, self.masks, self.rows, self.cell_types, self.cell_type]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
