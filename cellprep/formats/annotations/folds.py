"""Folds from a CSV with the columns image and fold, as written by `cellprep split`."""

from pathlib import Path
from typing import TYPE_CHECKING

from cellprep.errors import SourceError
from cellprep.formats.tables import open_table
from cellprep.store.image_ids import composed
from cellprep.system.files import read_file
from cellprep.text.wording import printable

if TYPE_CHECKING:
    from pandas import DataFrame


def read_folds(folds: "Path | str | DataFrame") -> tuple[dict[str, int], Path]:
    """Return the fold of each image, from 0, and the path of the table.

    Raises
    ------
    SourceError
        If it cannot be read, lacks a column, or has an invalid fold or an image in two folds.
    """
    table = open_table(folds, {"image", "fold"}.issubset)
    rows = table.rows()
    _, header = next(rows)
    if missing := [name for name in ("image", "fold") if name not in header]:
        raise SourceError(f"{table.path} has no column {', '.join(missing)}: give a file written by `cellprep split`")
    fold_of: dict[str, int] = {}
    for number, values in rows:
        row = dict(zip(header, values, strict=False))
        image, fold = composed(row.get("image", "")), row.get("fold", "").strip().removesuffix(".0")
        if not fold.isdecimal():
            raise SourceError(f"{table.path} row {number}: fold {fold!r} is not a number from 0")
        if fold_of.setdefault(image, int(fold)) != int(fold):
            raise SourceError(
                f"{table.path} row {number}: image {printable(image)} is in fold {fold}, but in fold "
                f"{fold_of[image]} in an earlier row"
            )
    if not fold_of:
        raise SourceError(f"{table.path} has no rows: give a file written by `cellprep split`")
    return fold_of, table.path


def read_text(path: Path) -> str:
    """Read UTF-8 text.

    Raises
    ------
    SourceError
        If it cannot be read or is not UTF-8.
    """
    try:
        return read_file(path).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: {error.reason}") from error
