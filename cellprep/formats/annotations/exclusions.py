"""Annotations and images to leave out, as a table with the columns image and row: the flags of `cellprep check`."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellprep.errors import SourceError
from cellprep.formats.tables import open_table
from cellprep.store.image_ids import composed

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The images and annotations to leave out of a source.

    Attributes
    ----------
    name, sha256
        What says so, and the hash of its content, in hex.
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


def read_exclusions(path: "Path | str | DataFrame") -> Exclusions:
    r"""Read which annotations to leave out.

    Parameters
    ----------
    path
        A CSV, Parquet file or data frame with the columns ``image`` and ``row``; others mean nothing. A line without a
        row leaves out the image.

    Raises
    ------
    SourceError
        If the file cannot be read, lacks a column, names no image, or has a row that is no whole number.

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
    rows: dict[str, set[int]] = defaultdict(set)
    images = set()
    content = hashlib.sha256()
    table = open_table(path, {"image", "row"}.issubset)
    path = table.path
    lines = table.rows(content.update)
    _, header = next(lines)
    if not {"image", "row"} <= set(header):
        raise SourceError(f"{path}: it needs the columns image and row, as cellprep check writes them")
    for number, values in lines:
        line = dict(zip(header, values, strict=False))
        image, row = composed(line.get("image", "")), line.get("row", "").strip().removesuffix(".0")
        if not image:
            raise SourceError(f"{path} row {number}: it names no image")
        if not row:
            images.add(image)
        elif row.removeprefix("-").isdecimal() and len(row) < 20:
            rows[image].add(int(row))
        else:
            raise SourceError(f"{path} row {number}: {row!r} is no whole number, as the row of an annotation is")
    return Exclusions(
        path.name,
        content.hexdigest(),
        {image: frozenset(found) for image, found in rows.items() if image not in images},
        frozenset(images),
    )
