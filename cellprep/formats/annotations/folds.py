"""Folds, as a CSV with the columns image and fold has them: what `cellprep split` writes."""

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
    """Return the fold of each image, from 0, and the name of what says so.

    Raises
    ------
    SourceError
        If it cannot be read, lacks a column, has a fold that is no number, or an image in two folds.
    """
    table = open_table(folds, {"image", "fold"}.issubset)
    rows = table.rows()
    _, header = next(rows)
    if missing := [name for name in ("image", "fold") if name not in header]:
        raise SourceError(f"{table.path} has no column {', '.join(missing)}: give a file that `cellprep split` wrote")
    fold_of: dict[str, int] = {}
    for number, values in rows:
        row = dict(zip(header, values, strict=False))
        image, fold = composed(row.get("image", "")), row.get("fold", "").strip().removesuffix(".0")
        if not fold.isdecimal():
            raise SourceError(f"{table.path} row {number}: fold {fold!r} is no number from 0")
        if fold_of.setdefault(image, int(fold)) != int(fold):
            raise SourceError(
                f"{table.path} row {number}: image {printable(image)} is in fold {fold}, and above in {fold_of[image]}"
            )
    if not fold_of:
        raise SourceError(f"{table.path} has no row below its header: give a file that `cellprep split` wrote")
    return fold_of, table.path


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
