"""Kaggle's CSV, with the columns that `cellprep.open_source` reads, and submissions to Kaggle's competitions."""

import csv
import io
from collections.abc import Iterable, Iterator

from cellprep.core.rle import format_rle
from cellprep.formats.annotations.content import Content, Listed, Whole

_COLUMNS = ("id", "annotation", "width", "height", "cell_type")


def encode(content: Content) -> str:
    """Return the rows of one image: one per visible cell, or a single one with an empty mask.

    Masks are row-major, from 1, as in the Sartorius competition.
    """
    height, width = content.shape
    masks = content.masks()
    cells = list(zip(format_rle(masks.runs), masks.cell_types, strict=True))
    return _rows((content.image_id, text, width, height, name) for text, name in cells or [("", content.image_type)])


def join(whole: Whole, parts: Iterator[tuple[Listed, str]]) -> Iterator[str]:
    """Yield the text of the file."""
    yield ",".join(_COLUMNS) + "\r\n"
    for _, rows in parts:
        yield rows


def encode_submission(content: Content) -> str:
    """Return the rows of one image for a submission to Kaggle's Sartorius competition: ``id,predicted`` per cell."""
    return _rows((content.image_id, text) for text in format_rle(content.masks().runs) or [""])


def join_submission(whole: Whole, parts: Iterator[tuple[Listed, str]]) -> Iterator[str]:
    """Yield the text of ``submission.csv``."""
    yield "id,predicted\r\n"
    for _, rows in parts:
        yield rows


def _rows(rows: Iterable[tuple[object, ...]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
