"""Masks as runs of pixels, the parsed form of run-length texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cellprep.text.wording import count

Order = Literal["row", "column"]

RUNS_AT_ONCE = 1 << 20  # limits memory


@dataclass(frozen=True, slots=True)
class Runs:
    """The masks of an image's annotations as runs of pixels.

    Runs of one annotation are sorted and disjoint; those of different annotations may overlap.

    Attributes
    ----------
    starts
        (r,) int64: first pixel of each run, counted from 0 in `order`.
    lengths
        (r,) int64: pixels in each run, at least 1.
    offsets
        (n + 1,) int64: annotation ``k`` owns the runs ``offsets[k]:offsets[k + 1]``.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which pixels are counted.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]
    shape: tuple[int, int]
    order: Order

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        height, width = self.shape
        masks, runs = count(len(self), "mask"), count(len(self.starts), "run")
        return f"<Runs: {masks} in {height} x {width} pixels, {runs}, counted by {self.order}>"

    @property
    def owners(self) -> NDArray[np.int64]:
        """(r,) int64: annotation of each run."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def areas(self) -> NDArray[np.int64]:
        """(n,) int64: pixels of each annotation before overlaps are resolved."""
        total = np.concatenate(([0], np.cumsum(self.lengths)))
        return np.diff(total[self.offsets])

    def positions(self) -> NDArray[np.int64]:
        """Return all pixels of all runs, counted from 0 in `order`, run by run: (sum of areas,) int64."""
        before = np.cumsum(self.lengths) - self.lengths
        return np.repeat(self.starts - before, self.lengths) + np.arange(self.lengths.sum())

    def take(self, kept: NDArray[np.bool_]) -> "Runs":
        """Return a selection of annotations: `kept` is (n,) bool."""
        counts = np.diff(self.offsets)
        inside = np.repeat(kept, counts)
        offsets = np.concatenate(([0], np.cumsum(counts[kept])))
        return Runs(self.starts[inside], self.lengths[inside], offsets, self.shape, self.order)

    def emptied(self, which: NDArray[np.bool_]) -> "Runs":
        """Return the annotations, with the selected ones emptied: `which` is (n,) bool."""
        counts = np.diff(self.offsets)
        kept = np.repeat(~which, counts)
        offsets = np.concatenate(([0], np.cumsum(np.where(which, 0, counts))))
        return Runs(self.starts[kept], self.lengths[kept], offsets, self.shape, self.order)

    @classmethod
    def joined(cls, pieces: Sequence["Runs"]) -> "Runs":
        """Concatenate annotations of one image, the inverse of `pieces`."""
        if len(pieces) == 1:
            return pieces[0]
        starts, lengths = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("starts", "lengths"))
        counts = np.concatenate([np.diff(piece.offsets) for piece in pieces])
        return cls(starts, lengths, np.concatenate(([0], np.cumsum(counts))), pieces[0].shape, pieces[0].order)

    def of_annotations(self, which: NDArray[np.intp]) -> "Runs":
        """Return the annotations with the given indices, (k,) ascending, in time proportional to their size."""
        first, counts = self.offsets[which], np.diff(self.offsets)[which]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        runs = np.repeat(first - offsets[:-1], counts) + np.arange(offsets[-1])
        return Runs(self.starts[runs], self.lengths[runs], offsets, self.shape, self.order)

    def pieces(self) -> Iterator["Runs"]:
        """Yield all annotations in batches, to limit memory."""
        bounds = np.arange(RUNS_AT_ONCE, self.offsets[-1] + RUNS_AT_ONCE, RUNS_AT_ONCE)
        ends = np.searchsorted(self.offsets, bounds, "right") - 1
        begin = 0
        for end in [*np.unique(ends[ends > 0]).tolist(), len(self)]:
            if end > begin or not len(self):
                runs = slice(self.offsets[begin], self.offsets[end])
                offsets = self.offsets[begin : end + 1] - self.offsets[begin]
                yield Runs(self.starts[runs], self.lengths[runs], offsets, self.shape, self.order)
            begin = end

    def in_order(self, order: Order) -> "Runs":
        """Return the same masks with their pixels counted in another order."""
        if order == self.order:
            return self
        line = self.shape[1] if self.order == "row" else self.shape[0]
        across, along = np.divmod(self.positions(), line)
        lines = self.shape[0] * self.shape[1] // line
        return _of_pixels(np.repeat(self.owners, self.lengths), along * lines + across, self, order)

    def pixels_in(self, region: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the number of pixels of each annotation in a region, (H, W) bool: (n,) int64."""
        before = np.concatenate(([0], np.cumsum(region.ravel("C" if self.order == "row" else "F"))))
        of_runs = before[self.starts + self.lengths] - before[self.starts]
        return np.diff(np.concatenate(([0], np.cumsum(of_runs)))[self.offsets])

    def outside(self, region: NDArray[np.bool_]) -> "Runs":
        """Return the masks without the pixels of a region, (H, W) bool; masks may become empty."""
        positions = self.positions()
        kept = ~region.ravel("C" if self.order == "row" else "F")[positions]
        return _of_pixels(np.repeat(self.owners, self.lengths)[kept], positions[kept], self, self.order)

    def paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Paint each annotation with its value; where annotations overlap, the highest value wins.

        Parameters
        ----------
        values
            (n,) of any dtype, each at least 0.

        Returns
        -------
        ndarray
            (H, W) with the dtype of `values`; 0 outside annotations.
        """
        canvas = np.zeros(self.shape[0] * self.shape[1], values.dtype)
        np.maximum.at(canvas, self.positions(), np.repeat(values[self.owners], self.lengths))
        return self._to_image(canvas)

    def coverage(self) -> NDArray[np.int64]:
        """Return the number of annotations that claim each pixel: (H, W) int64."""
        # A run may end after the last pixel.
        change = np.bincount(self.starts, minlength=self.shape[0] * self.shape[1] + 1)
        np.subtract.at(change, self.starts + self.lengths, 1)
        return self._to_image(np.cumsum(change, out=change)[:-1])

    def covered(self) -> NDArray[np.bool_]:
        """Return which pixels any annotation claims: (H, W) bool."""
        return self.coverage() > 0

    def to_masks(self) -> NDArray[np.bool_]:
        """Return the masks of the annotations: (n, H, W) bool."""
        height, width = self.shape
        masks = np.zeros((len(self), height * width), bool)
        masks[np.repeat(self.owners, self.lengths), self.positions()] = True
        if self.order == "row":
            return masks.reshape(-1, height, width)
        return np.ascontiguousarray(masks.reshape(-1, width, height).transpose(0, 2, 1))

    def _to_image(self, flat: NDArray[Any]) -> NDArray[Any]:
        height, width = self.shape
        if self.order == "row":
            return flat.reshape(height, width)
        return np.ascontiguousarray(flat.reshape(width, height).T)


def touching_runs(runs: Runs, line_length: int) -> int:
    """Count the runs that touch the run before them, in the line above and of the same annotation.

    Runs that continue in the next line are not counted.

    Parameters
    ----------
    runs
        The annotations.
    line_length
        Number of pixels in a line. With the true length most runs of a compact mask touch, otherwise hardly any.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> runs = parse_rle(["2 2 6 2 10 2 14 2"], (4, 4))
    >>> touching_runs(runs, 4), touching_runs(runs, 8)
    (3, 0)
    """
    return sum(_touching_runs(piece, line_length) for piece in runs.pieces())


def _touching_runs(runs: Runs, line_length: int) -> int:
    line, first = np.divmod(runs.starts, line_length)
    last = first + runs.lengths - 1
    touching = (
        (np.diff(runs.owners) == 0)
        & (np.diff(line) == 1)
        & (first[1:] <= last[:-1] + 1)
        & (last[1:] >= first[:-1] - 1)
        & (last[1:] < line_length)
        & (last[:-1] < line_length)
    )
    return int(np.count_nonzero(touching))


def _of_pixels(owners: NDArray[np.int64], positions: NDArray[np.int64], like: Runs, order: Order) -> Runs:
    """Return the runs of pixels, without duplicates per owner; number of masks and shape are those of `like`."""
    size = like.shape[0] * like.shape[1]
    owners, positions = np.divmod(np.sort(owners * size + positions), size)
    begins = (np.diff(positions, prepend=-2) != 1) | (np.diff(owners, prepend=-1) != 0)
    first = np.flatnonzero(begins)
    lengths = np.diff(first, append=len(positions))
    offsets = np.searchsorted(owners[first], np.arange(len(like) + 1))
    return Runs(positions[first], lengths, offsets, like.shape, order)
