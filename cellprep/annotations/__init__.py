"""Annotation sources: one reader per format, all giving the same record.

A new format is one class in one file, and one line in `READERS`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cellprep.annotations.kaggle_csv import KaggleCSV
from cellprep.annotations.record import FaultyImage, ImageAnnotations
from cellprep.errors import SourceError, UsageError
from cellprep.rle import Order, check_order

__all__ = ["READERS", "FaultyImage", "ImageAnnotations", "Source", "open_source"]


class Source(Protocol):
    """What a reader offers.

    Attributes
    ----------
    name
        File or folder name, for messages and for the store's record of where it came from.
    format
        The reader's name in `READERS`.
    order
        The order in which masks count pixels.
    sha256
        Hash of the source's content, in hex.
    """

    name: str
    format: str
    order: Order
    sha256: str

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, in the source's order."""

    def images(self) -> Iterator[ImageAnnotations | FaultyImage]:
        """Yield every image once, be it whole or at fault."""

    def values(self, column: str) -> dict[str, str]:
        """Return what a column says of each image: one that annotations are not made of, such as its plate.

        Raises
        ------
        UsageError
            If the source has no such column.
        SourceError
            If it says different things of one image.
        """


#: The readers by format.
READERS: dict[str, Callable[[Path, Order | None], Source]] = {
    "kaggle-csv": KaggleCSV,
}


def open_source(path: Path | str, format: str = "auto", rle_order: Order | None = None) -> Source:  # noqa: A002
    """Open an annotation source.

    Parameters
    ----------
    path
        A file or folder.
    format
        A name in `READERS`, or ``"auto"`` to recognise it.
    rle_order
        The order in which run-length texts count pixels; the format's own unless given.

    Raises
    ------
    SourceError
        If there is nothing to read at `path`, or it is not of the format.
    UsageError
        If there is no such format or order.
    """
    path = Path(path)
    if rle_order is not None:
        check_order(rle_order)
    try:
        path.stat()
    except OSError as error:
        raise SourceError(f"cannot read the annotation source {path}: {error.strerror}") from error
    if format == "auto":
        format = _recognise(path)  # noqa: A001
    if format not in READERS:
        raise UsageError(f"format {format!r} is unknown: it is one of auto, {', '.join(READERS)}")
    return READERS[format](path, rle_order)


def _recognise(path: Path) -> str:
    if path.is_file() and path.suffix.lower() == ".csv":
        return "kaggle-csv"
    raise SourceError(f"{path} is of no known kind: give a .csv file, or name its --format ({', '.join(READERS)})")
