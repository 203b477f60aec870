"""Folds, as a CSV with the columns image and fold has them: what `cellprep split` writes."""

import csv
from pathlib import Path

from cellprep.errors import SourceError
from cellprep.system.files import read_file


def read_folds(path: Path | str) -> dict[str, int]:
    """Read the fold of each image, from 0.

    Raises
    ------
    SourceError
        If the file cannot be read, lacks a column, or has a fold that is no number.
    """
    path = Path(path)
    reader = csv.DictReader(read_text(path).splitlines())
    if missing := [name for name in ("image", "fold") if name not in (reader.fieldnames or ())]:
        raise SourceError(f"{path} has no column {', '.join(missing)}: give a file that `cellprep split` wrote")
    fold_of = {}
    for number, row in enumerate(reader, start=2):
        if not (row["fold"] or "").isdecimal():
            raise SourceError(f"{path} row {number}: fold {row['fold']!r} is no number from 0")
        fold_of[row["image"]] = int(row["fold"])
    return fold_of


def read_text(path: Path) -> str:
    """Read a text in UTF-8.

    Raises
    ------
    SourceError
        If it cannot be read, or is no such text.
    """
    try:
        return read_file(path).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no text in UTF-8: {error.reason}") from error
