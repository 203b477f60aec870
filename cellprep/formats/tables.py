"""Rows of table files: CSV with any usual separator, optionally compressed, Parquet and Excel; one row at a time."""

import codecs
import csv
import gzip
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cellprep.errors import CellprepError, MissingExtraError, SourceError
from cellprep.system.files import open_file, read_file
from cellprep.system.places import as_place, is_remote
from cellprep.text.frames import is_frame

if TYPE_CHECKING:
    from pandas import DataFrame

LONGEST_EXCEL_TEXT = 32_767  # characters; Excel truncates longer text

_ENDS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".xlsx")
_KINDS = {".parquet": "Parquet file", ".xlsx": "Excel table", ".gz": "gzip file", ".zip": "ZIP archive"}
_LONGEST_LINE = 2**27  # characters
_SEPARATORS = ",;\t|"
_GZIP, _ZIP, _PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
_WORKBOOK = "xl/workbook.xml"
_EXTRA = "tables"

_AT_ONCE = 2**20  # bytes
_ROWS_AT_ONCE = 1024
_MOST_HELD = 2**26  # bytes

Row = tuple[int, list[str]]
See = Callable[[bytes], object]


class Table:
    """A table in a file. It is read once and kept in memory unless it is large.

    Parameters
    ----------
    path
        The file: CSV in UTF-8 or UTF-16, optionally in gzip or alone in a ZIP archive; Parquet; or Excel's xlsx.
    is_header
        Returns whether names are those of the columns sought, which determines the separator.
    whole
        Whether all of it will be read; otherwise it is never kept in memory.

    Attributes
    ----------
    kind
        ``"csv"``, ``"parquet"`` or ``"xlsx"``.

    Raises
    ------
    SourceError
        If the file cannot be read, or is a ZIP archive with other files.
    """

    def __init__(self, path: Path, is_header: Callable[[list[str]], bool], *, whole: bool = True) -> None:
        self.path = path
        self._is_header = is_header
        with _explained(path):
            # Object stores return the whole file in any case.
            is_held = is_remote(path) or (whole and path.stat().st_size <= _MOST_HELD)
            self._content = read_file(path) if is_held else None
            with self._opened() as file:
                self._head = _head(file)
                self.kind = "parquet" if self._head == _PARQUET else "xlsx" if _is_workbook(file, self._head) else "csv"

    def rows(self, see: See | None = None) -> Iterator[Row]:
        """Yield the number and the fields of the header, row 1, and of every nonempty row.

        Parameters
        ----------
        see
            Receives all bytes of the file while they are read, so that the file need not be read again for its hash.

        Raises
        ------
        SourceError
            If the file cannot be read, or is damaged.
        MissingExtraError
            If the library that reads the format is not installed.
        """
        readers = {"csv": self._csv_rows, "parquet": self._parquet_rows, "xlsx": self._excel_rows}
        with _explained(self.path), self._opened() as file:
            if see and self._content is not None:
                see(self._content)
            if see is None or self._content is not None:
                yield from readers[self.kind](file)
                return
            watched = _Watched(file, see)
            with io.BufferedReader(watched, _AT_ONCE) as stream:
                yield from readers[self.kind](stream)
            watched.show_rest()

    def _opened(self) -> IO[bytes]:
        return open_file(self.path) if self._content is None else io.BytesIO(self._content)

    def _csv_rows(self, file: IO[bytes]) -> Iterator[Row]:
        csv.field_size_limit(_LONGEST_LINE)
        number = 1
        try:
            with _unpacked(self.path, file, self._head) as stream, _as_text(stream) as text:
                header = next(_lines(text), "")
                text.seek(0)
                reader = csv.reader(_lines(text), delimiter=self._separator(header), strict=True)
                yield 1, next(reader, [])
                for number, values in enumerate(reader, start=2):
                    if values:
                        yield number, values
        except UnicodeDecodeError as error:
            raise SourceError(f"{self.path} after row {number}: the text is not UTF-8: save it as UTF-8") from error
        except csv.Error as error:
            raise SourceError(f"{self.path} after row {number}: {_of_csv(str(error))}") from error

    def _separator(self, header: str) -> str:
        """Return the separator that results in the columns sought, otherwise in the most columns."""

        def names(separator: str) -> list[str]:
            return next(csv.reader([header], delimiter=separator), [])

        fitting = [separator for separator in _SEPARATORS if self._is_header(names(separator))]
        return fitting[0] if fitting else max(_SEPARATORS, key=lambda separator: len(names(separator)))

    def _parquet_rows(self, file: IO[bytes]) -> Iterator[Row]:
        try:
            from pyarrow import parquet
        except ImportError:
            raise MissingExtraError(f"{self.path.name}: reading Parquet", "pyarrow", _EXTRA) from None
        table = parquet.ParquetFile(file)
        yield 1, list(table.schema_arrow.names)
        number = 1
        for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, list(map(_text, values))

    def _excel_rows(self, file: IO[bytes]) -> Iterator[Row]:
        try:
            from openpyxl import load_workbook
        except ImportError:
            raise MissingExtraError(f"{self.path.name}: reading Excel's tables", "openpyxl", _EXTRA) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and other features that are not read
            with closing(load_workbook(file, read_only=True, data_only=True)) as workbook:
                sheets = [sheet for sheet in workbook.worksheets if _has_rows(sheet)]
                if len(sheets) > 1:
                    names = ", ".join(repr(sheet.title) for sheet in sheets)
                    raise SourceError(
                        f"{self.path} has several sheets, {names}: keep only the one with the annotations"
                    )
                for sheet in sheets:
                    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                        if number == 1 or any(value is not None for value in values):
                            yield number, list(map(_text, values))
                if not sheets:
                    yield 1, []


class FrameTable:
    """Rows of a data frame, in the form of `Table`: counted from 0, as for ``iloc``.

    Parameters
    ----------
    frame
        The data frame; its index is ignored.

    Examples
    --------
    >>> from pandas import DataFrame
    >>> list(FrameTable(DataFrame({"image": ["a", None], "row": [17.0, None]})).rows())
    [(-1, ['image', 'row']), (0, ['a', '17']), (1, ['', ''])]
    """

    kind = "frame"

    def __init__(self, frame: "DataFrame") -> None:
        self.path = Path("data frame")
        self._frame = frame

    def rows(self, see: See | None = None) -> Iterator[Row]:
        """Yield the header, and every row with its number; `see` receives all of them as text."""
        for number, values in self._rows():
            if see is not None:
                see("\0".join([*values, ""]).encode(errors="surrogatepass"))
            yield number, values

    def _rows(self) -> Iterator[Row]:
        yield -1, list(map(str, self._frame.columns))
        number = 0
        for begin in range(0, len(self._frame), _ROWS_AT_ONCE):
            part = self._frame.iloc[begin : begin + _ROWS_AT_ONCE].astype(object)
            for values in part.where(part.notna(), None).itertuples(index=False, name=None):
                yield number, list(map(_text, values))
                number += 1


def open_table(what: "Path | str | DataFrame", is_header: Callable[[list[str]], bool]) -> Table | FrameTable:
    """Open a table in a file, or a data frame; parameters and errors are those of `Table`."""
    return FrameTable(what) if is_frame(what) else Table(as_place(what), is_header)


class _Watched(io.RawIOBase):
    """A file whose bytes are passed to a callback, in order and once each, when they are first read."""

    def __init__(self, file: IO[bytes], see: See) -> None:
        super().__init__()
        self._file, self._see, self._seen = file, see, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        begin = self._file.tell()
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        if begin <= self._seen:  # otherwise there is a gap, which is read later, at the latest by `show_rest`
            self._see(content[self._seen - begin :])
            self._seen = max(self._seen, begin + len(content))
        return len(content)

    def show_rest(self) -> None:
        """Pass on the bytes that were read out of order, as in archives, or not at all."""
        self._file.seek(self._seen)
        while content := self._file.read(_AT_ONCE):
            self._see(content)


def is_table(path: Path) -> bool:
    """Return whether a file is a table by its name, or a ZIP archive with only a CSV."""
    name = path.name.lower()
    if name.endswith(".zip") and path.is_file():
        try:
            with open_file(path) as file:
                return _member(file) is not None
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
            return False
    return name.endswith(_ENDS) and path.is_file()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Convert errors of libraries for an unreadable file to one line."""
    try:
        yield
    except (CellprepError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        kind = next((kind for end, kind in _KINDS.items() if path.name.lower().endswith(end)), "table")
        raise SourceError(f"{path} is damaged, or not a {kind}: copy it again, or save the table as CSV") from error


def _head(file: IO[bytes]) -> bytes:
    head = file.read(4)
    return head if head in (_PARQUET, _ZIP) else head[:2]


def _is_workbook(file: IO[bytes], head: bytes) -> bool:
    if head != _ZIP:
        return False
    with zipfile.ZipFile(file) as archive:
        return _WORKBOOK in archive.namelist()


def _member(file: IO[bytes]) -> str | None:
    """Return the name of the only file of an archive, if it is a CSV; None otherwise."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    return names[0] if len(names) == 1 and names[0].lower().endswith((".csv", ".tsv")) else None


@contextmanager
def _unpacked(path: Path, file: IO[bytes], head: bytes) -> Iterator[IO[bytes]]:
    if head == _GZIP:
        with gzip.open(file) as stream:
            yield cast("IO[bytes]", stream)
    elif head == _ZIP:
        name = _member(file)
        if name is None:
            raise SourceError(f"{path} contains more than one file, or no CSV: unpack it and give the CSV")
        with zipfile.ZipFile(file) as archive, archive.open(name) as stream:
            yield stream
    else:
        yield file


@contextmanager
def _as_text(stream: IO[bytes]) -> Iterator[io.TextIOWrapper]:
    is_utf16 = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    stream.seek(0)
    text = io.TextIOWrapper(stream, encoding="utf-16" if is_utf16 else "utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()  # the stream is closed by the caller


def _lines(text: IO[str]) -> Iterator[str]:
    """Yield the lines of a text, with limited length: a few bytes of gzip may expand to gigabytes."""
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise csv.Error("field larger than field limit")
        yield line


def _of_csv(problem: str) -> str:
    """Return an explanation for an error of Python's CSV reader."""
    if "end of data" in problem:
        return 'a quote (") is opened and never closed'
    if "expected after" in problem:
        return 'a quote (") ends in the middle of a field: quote the whole field, and double the quotes in it'
    if "field limit" in problem:
        return f"a line has more than {_LONGEST_LINE:,} characters: it is damaged, or not a CSV"
    return "it is not a CSV: save the table again"


def _has_rows(sheet: Any) -> bool:
    return any(value is not None for values in sheet.iter_rows(max_row=2, values_only=True) for value in values)


def _text(value: Any) -> str:
    """Return a value as in a CSV: empty for missing values, whole floats as integers, lists with spaces."""
    if value is None or value != value:  # noqa: PLR0124 - which NaN alone is
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(map(_text, value)) if isinstance(value, list) else str(value)
