"""The pixels of the objects of a label image: cells, or their connected components."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Objects:
    """The pixels of objects of an image, object by object, each in raster order.

    Attributes
    ----------
    pixels
        (m,) int64: indices in the flat image.
    first
        (n,) int64: start of each object; each has at least one pixel.
    width
        Number of pixels in a row of the image.
    origin
        Row and column of the first pixel in a larger image, of which this one is a part. Rows, columns and centres
        refer to the larger image.
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
            Whether each 8-connected component of a cell is a separate object.
        smallest
            Smallest number of pixels of an object; smaller ones are omitted.

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
        starts = np.flatnonzero(begins)  # start of each run of one label in a row
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
        """Number of pixels of each object: (n,) int64."""
        return np.diff(self.first, append=len(self.pixels))

    @cached_property
    def rows(self) -> Ints:
        """Row of each pixel: (m,) int64."""
        return self.pixels // self.width + self.origin[0]

    @cached_property
    def columns(self) -> Ints:
        """Column of each pixel: (m,) int64."""
        return self.pixels % self.width + self.origin[1]

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Mean (y, x) of the pixels of each object: (n, 2)."""
        sums = [np.add.reduceat(places, self.first) for places in (self.rows, self.columns)]
        return np.stack(sums, axis=1) / self.sizes[:, None]

    def places(self, points: Ints) -> Ints:
        """Return the indices in the flat image of pixels (k, 2), given as row and column."""
        inside: Ints = points - np.array(self.origin)
        return inside[:, 0] * self.width + inside[:, 1]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Broadcast a value per object, (n, ...), to its pixels, (m, ...)."""
        return np.repeat(values, self.sizes, axis=0)


def _pieces(starts: Ints, ends: Ints, owners: NDArray[Any], width: int) -> NDArray[np.int32]:
    """Return the number, from 1, of the 8-connected component of each run; runs of a row are in order."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    # For each run, the runs in the next row that begin at or before its end and end after its beginning.
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
