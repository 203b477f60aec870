"""Tables out, some rows at a time: CSV, TSV and Parquet."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cellprep.errors import MissingExtraError, UsageError
from cellprep.system.output import check_place, whole_file

if TYPE_CHECKING:
    from pandas import DataFrame

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"


def check_table(path: Path) -> None:
    """Refuse a table that cannot be written, before long work is done for it.

    Raises
    ------
    UsageError
        If its name is that of no table.
    MissingExtraError
        If it is a Parquet file, and pyarrow is not installed.
    OutputError
        If no file can be there.
    """
    kinds = (*_SEPARATORS, _PARQUET)
    if path.suffix.lower() not in kinds:
        raise UsageError(f"{path} is no name of a table: end it in {', '.join(kinds)}")
    if path.suffix.lower() == _PARQUET:
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(f"{path.name}: writing Parquet", "pyarrow", "tables") from error
    check_place(path)


def write_table(path: Path, frames: Iterable["DataFrame"]) -> None:
    """Write a table; it is there when it is whole.

    Parameters
    ----------
    path
        As `check_table` wants it.
    frames
        Its rows, some at a time: at least one frame, and all of the same columns.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(path) as aside:
        if path.suffix.lower() == _PARQUET:
            _write_parquet(aside, frames)
        else:
            with aside.open("w", encoding="utf-8", newline="") as file:
                for number, frame in enumerate(frames):
                    frame.to_csv(
                        file,
                        sep=_SEPARATORS[path.suffix.lower()],
                        header=number == 0,
                        index=False,
                        lineterminator="\n",
                    )


def _write_parquet(path: Path, frames: Iterable["DataFrame"]) -> None:
    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    tables: Iterator[Table] = (Table.from_pandas(frame, preserve_index=False) for frame in frames)
    first = next(tables)
    with ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))
