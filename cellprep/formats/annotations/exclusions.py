"""Annotations and images to exclude, as a table with the columns image and row: the flags of `cellprep check`."""

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
    """Images and annotations to exclude from a source.

    Attributes
    ----------
    name, sha256
        Name of the table, and the hash of its content, in hex.
    rows
        Rows of the excluded annotations, by image.
    images
        Images that are excluded completely.
    """

    name: str
    sha256: str
    rows: dict[str, frozenset[int]]
    images: frozenset[str]

    @property
    def named(self) -> frozenset[str]:
        """All images with exclusions."""
        return self.images.union(self.rows)


def read_exclusions(path: "Path | str | DataFrame") -> Exclusions:
    r"""Read a table of annotations to exclude.

    Parameters
    ----------
    path
        A CSV, Parquet file or data frame with the columns ``image`` and ``row``; other columns are ignored. A line
        without a row excludes the image.

    Raises
    ------
    SourceError
        If the file cannot be read, lacks a column, or has a line without an image or with an invalid row.

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
        raise SourceError(f"{path}: the columns image and row are required, as written by cellprep check")
    for number, values in lines:
        line = dict(zip(header, values, strict=False))
        image, row = composed(line.get("image", "")), line.get("row", "").strip().removesuffix(".0")
        if not image:
            raise SourceError(f"{path} row {number}: it has no image")
        if not row:
            images.add(image)
        elif row.removeprefix("-").isdecimal() and len(row) < 20:
            rows[image].add(int(row))
        else:
            raise SourceError(f"{path} row {number}: row {row!r} is not a whole number")
    return Exclusions(
        path.name,
        content.hexdigest(),
        {image: frozenset(found) for image, found in rows.items() if image not in images},
        frozenset(images),
    )
