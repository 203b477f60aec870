"""The table beside a label image that says of which class each label is: ``<name of the image>_classes.csv``."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cellprep.errors import AnnotationError
from cellprep.formats.annotations.record import digest
from cellprep.system.files import read_file

_COLUMNS = ("label", "class", "probability")


class LabelTypes(NamedTuple):
    """The classes of labels.

    Attributes
    ----------
    names
        Per label the name of its class.
    scores
        Per label the probability of that class, where one is told.
    """

    names: dict[int, str]
    scores: dict[int, float]


def encode_types(labels: Sequence[int], names: Sequence[str], scores: Sequence[float] | None) -> bytes:
    """Return the table: a row for each label.

    Examples
    --------
    >>> encode_types([1, 2], ["round", "long"], [0.9, 0.75]).splitlines()
    [b'label,class,probability', b'1,round,0.9000', b'2,long,0.7500']
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS if scores is not None else _COLUMNS[:2])
    told = [()] * len(labels) if scores is None else [(f"{score:.4f}",) for score in scores]
    writer.writerows((label, name, *score) for label, name, score in zip(labels, names, told, strict=True))
    return file.getvalue().encode()


def read_types(path: Path) -> tuple[LabelTypes, str]:
    """Read the table beside a label image.

    Returns
    -------
    LabelTypes
        What it says.
    str
        The hash of its content.

    Raises
    ------
    AnnotationError
        If it is no such table, or names a label twice.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} cannot be read: {error}") from error
    rows = csv.DictReader(io.StringIO(text))
    try:
        if not {"label", "class"} <= set(rows.fieldnames or ()):
            raise AnnotationError(f"{path}: it needs the columns label and class, and may have probability")
        return _types_in(rows), digest(text)
    except csv.Error as error:
        raise AnnotationError(f"{path} row {rows.line_num}: it is no CSV: {error}") from error
    except ValueError as error:
        raise AnnotationError(f"{path} row {rows.line_num}: {error}") from None


def _types_in(rows: "csv.DictReader[str]") -> LabelTypes:
    """Take what each row says; raises ValueError if that cannot be."""
    found = LabelTypes({}, {})
    for row in rows:
        text, score = row["label"] or "", (row.get("probability") or "").strip()
        if not text.strip().isdecimal():
            raise ValueError(f"label {text[:20]!r} is no whole number from 0 on")
        label = int(text)
        if label in found.names:
            raise ValueError(f"label {label} has a class already: keep one row of it")
        found.names[label] = row["class"] or ""
        if score:
            if not 0 <= float(score) <= 1:
                raise ValueError(f"probability {score[:20]} is none from 0 to 1")
            found.scores[label] = float(score)
    return found
