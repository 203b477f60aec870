"""The pixels of the objects of a label image: cells, or the pieces that they are in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Objects:
    """The pixels of some objects of an image, object after object, each in the order of rows.

    Attributes
    ----------
    pixels
        (m,) int64: places in the flat image.
    first
        (n,) int64: where those of each object begin; each has one at least.
    width
        Pixels of a row of the image.
    origin
        Row and column of the first pixel in a larger image that this one is a part of: rows, columns and centres are
        those in there.
    """

    pixels: Ints
    first: Ints
    width: int
    origin: tuple[int, int] = (0, 0)

    @classmethod
    def of(
        cls, labels: NDArray[Any], origin: tuple[int, int] = (0, 0), *, pieces: bool = False, smallest: int = 1
    ) -> "Objects":
        """Return the objects of a label image.

        Parameters
        ----------
        labels
            (H, W) integers, 0 = background.
        origin
            As the attribute.
        pieces
            Whether each 8-connected piece of a cell is one by itself.
        smallest
            Pixels of an object at least; smaller ones are left out.

        Examples
        --------
        >>> labels = np.array([[7, 0, 7], [7, 4, 0]])
        >>> Objects.of(labels).pixels, Objects.of(labels).first
        (array([4, 0, 2, 3]), array([0, 1]))
        >>> Objects.of(labels, pieces=True, smallest=2).pixels
        array([0, 3])
        """
        width = labels.shape[1]
        begins = np.ones(labels.shape, np.bool_)
        np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)  # of runs of one label in one row
        owners = labels.ravel()[starts]
        ends = np.append(starts[1:], labels.size)
        starts, ends, owners = (values[owners > 0] for values in (starts, ends, owners))
        if pieces:
            owners = _pieces(starts, ends, owners, width)
        order = np.argsort(owners, kind="stable")
        starts, lengths, owners = starts[order], (ends - starts)[order], owners[order].astype(np.intp, copy=False)
        sizes = np.bincount(owners, lengths).astype(np.int64)
        if smallest > 1:
            kept = sizes[owners] >= smallest
            starts, lengths, sizes = starts[kept], lengths[kept], sizes[sizes >= smallest]
        sizes = sizes[sizes > 0]
        before = np.cumsum(lengths) - lengths
        pixels = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        return cls(pixels, np.cumsum(sizes) - sizes, width, origin)

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def sizes(self) -> Ints:
        """Pixels of each: (n,) int64."""
        return np.diff(self.first, append=len(self.pixels))

    @cached_property
    def rows(self) -> Ints:
        """The row of each pixel: (m,) int64."""
        return self.pixels // self.width + self.origin[0]

    @cached_property
    def columns(self) -> Ints:
        """The column of each pixel: (m,) int64."""
        return self.pixels % self.width + self.origin[1]

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """The mean (y, x) of the pixels of each: (n, 2)."""
        sums = [np.add.reduceat(places, self.first) for places in (self.rows, self.columns)]
        return np.stack(sums, axis=1) / self.sizes[:, None]

    def places(self, points: Ints) -> Ints:
        """Return the places in the flat image of pixels (k, 2), row and column."""
        inside: Ints = points - np.array(self.origin)
        return inside[:, 0] * self.width + inside[:, 1]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the value of its object for each pixel: of (n, ...), (m, ...)."""
        return np.repeat(values, self.sizes, axis=0)


def _pieces(starts: Ints, ends: Ints, owners: NDArray[Any], width: int) -> NDArray[np.int32]:
    """Return the number of the 8-connected piece that each run belongs to, from 1: runs in one row, in order."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    # Of each run, those in the next row that begin before it ends, or right behind, and end behind its begin.
    first = np.searchsorted(ends, starts + width)
    counts = np.maximum(np.searchsorted(starts, ends + width, side="right") - first, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts) + first[above]
    rows = starts // width
    joined = (owners[above] == owners[below]) & (rows[below] == rows[above] + 1)
    pointers = np.searchsorted(above[joined], np.arange(len(starts) + 1))
    graph = csr_array((np.ones(joined.sum()), below[joined], pointers), (len(starts), len(starts)))
    numbers: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return numbers + np.int32(1)
