"""Kaggle's CSV, with the columns that `cellprep.open_source` takes."""

import csv
import io
from collections.abc import Iterator, Sequence

from cellprep.core.rle import encode_labels
from cellprep.formats.annotations.content import Content
from cellprep.store import StoredImage

_COLUMNS = ("id", "annotation", "width", "height", "cell_type")


def encode(content: Content) -> str:
    """Return the rows of one image: a row per cell with pixels, or a single one with an empty mask.

    Masks count pixels along the rows, from 1, as in the Sartorius competition.
    """
    height, width = content.labels.shape
    texts = encode_labels(content.labels)
    cells = [(texts[label - 1], name) for label, name in zip(content.visible, content.cell_types, strict=True)]
    rows = io.StringIO()
    csv.writer(rows).writerows(
        (content.image_id, text, width, height, name) for text, name in cells or [("", content.image_type)]
    )
    return rows.getvalue()


def join(images: Sequence[StoredImage], parts: Iterator[tuple[StoredImage, str]]) -> Iterator[str]:
    """Yield the text of the file."""
    yield ",".join(_COLUMNS) + "\r\n"
    for _, rows in parts:
        yield rows
