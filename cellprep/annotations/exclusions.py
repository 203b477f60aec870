"""Annotations and images to leave out, as a CSV with the columns image and row tells: the flags of `cellprep check`."""

import csv
import hashlib
import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cellprep.errors import SourceError

__all__ = ["Exclusions", "read_exclusions"]


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What to leave out of a source.

    Attributes
    ----------
    name, sha256
        The file that says so, and the hash of its bytes, in hex.
    rows
        Per image the rows of its annotations that are left out.
    images
        The images that are left out whole.
    """

    name: str
    sha256: str
    rows: dict[str, frozenset[int]]
    images: frozenset[str]

    @property
    def named(self) -> frozenset[str]:
        """All images of which something is left out."""
        return self.images.union(self.rows)


def read_exclusions(path: Path | str) -> Exclusions:
    r"""Read which annotations to leave out.

    Parameters
    ----------
    path
        A CSV with the columns ``image`` and ``row``; others mean nothing. A line without a row leaves out the image.

    Raises
    ------
    SourceError
        If the file cannot be read, lacks a column, or has a row that is no whole number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     flags = Path(folder, "flags.csv")
    ...     _ = flags.write_text("image,row,rule\na,17,duplicate\na,20,hidden\nb,,annotated-twice")
    ...     found = read_exclusions(flags)
    >>> {image: sorted(rows) for image, rows in found.rows.items()}, found.images
    ({'a': [17, 20]}, frozenset({'b'}))
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text") from error
    rows: dict[str, set[int]] = defaultdict(set)
    images = set()
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if not {"image", "row"} <= set(reader.fieldnames or ()):
            raise SourceError(f"{path} line 1: it needs the columns image and row, as cellprep check writes them")
        for line in reader:
            image, row = line["image"] or "", (line["row"] or "").strip().removesuffix(".0")
            if not row:
                images.add(image)
            elif row.removeprefix("-").isdecimal() and len(row) < 20:
                rows[image].add(int(row))
            else:
                raise SourceError(f"{path} line {reader.line_num}: row {row!r} is no whole number")
    except csv.Error as error:
        raise SourceError(f"{path}: {error}") from error
    return Exclusions(
        path.name,
        hashlib.sha256(content).hexdigest(),
        {image: frozenset(found) for image, found in rows.items() if image not in images},
        frozenset(images),
    )
