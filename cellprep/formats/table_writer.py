"""Writing tables in batches of rows: CSV, TSV and Parquet."""

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
    """Refuse a table that cannot be written, before a long computation.

    Raises
    ------
    UsageError
        If its extension is not that of a table.
    MissingExtraError
        If it is a Parquet file, and pyarrow is not installed.
    OutputError
        If the file cannot be written.
    """
    kinds = (*_SEPARATORS, _PARQUET)
    if path.suffix.lower() not in kinds:
        raise UsageError(f"{path} is not the name of a table: use the extension {', '.join(kinds)}")
    if path.suffix.lower() == _PARQUET:
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(f"{path.name}: writing Parquet", "pyarrow", "tables") from error
    check_place(path)


def write_table(path: Path, frames: Iterable["DataFrame"]) -> None:
    """Write a table; the file appears when it is complete.

    Parameters
    ----------
    path
        Path, as for `check_table`.
    frames
        Batches of rows: at least one frame, all with the same columns.

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
