"""The table of the classes of labels next to a label image: ``<name of the image>_classes.csv``."""

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
        Names of classes by label.
    scores
        Probabilities of these classes by label, of those that have one.
    """

    names: dict[int, str]
    scores: dict[int, float]


def encode_types(labels: Sequence[int], names: Sequence[str], scores: Sequence[float] | None) -> bytes:
    """Return the table, with one row per label.

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
    """Read the table next to a label image.

    Returns
    -------
    LabelTypes
        The classes of the labels.
    str
        The hash of its content.

    Raises
    ------
    AnnotationError
        If the table is invalid, or contains a label twice.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} cannot be read: {error}") from error
    rows = csv.DictReader(io.StringIO(text))
    try:
        if not {"label", "class"} <= set(rows.fieldnames or ()):
            raise AnnotationError(f"{path} needs the columns label and class; probability is optional")
        return _types_in(rows), digest(text)
    except csv.Error as error:
        raise AnnotationError(f"{path} row {rows.line_num}: invalid CSV: {error}") from error
    except ValueError as error:
        raise AnnotationError(f"{path} row {rows.line_num}: {error}") from None


def _types_in(rows: "csv.DictReader[str]") -> LabelTypes:
    """Parse the rows; raises ValueError if one is invalid."""
    found = LabelTypes({}, {})
    for row in rows:
        text, score = row["label"] or "", (row.get("probability") or "").strip()
        if not text.strip().isdecimal():
            raise ValueError(f"label {text[:20]!r} is not a whole number of at least 0")
        label = int(text)
        if label in found.names:
            raise ValueError(f"label {label} already has a class: keep one row")
        found.names[label] = row["class"] or ""
        if score:
            if not 0 <= float(score) <= 1:
                raise ValueError(f"probability {score[:20]} is not from 0 to 1")
            found.scores[label] = float(score)
    return found
