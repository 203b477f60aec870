"""Masks clipped to a window of their image, in time proportional to the window's content."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle.runs import Runs
from cellprep.core.windows import Window


@dataclass(frozen=True, slots=True)
class WindowedRuns:
    """Runs, and the bounding box of each annotation, in lines and positions along lines.

    Attributes
    ----------
    runs
        The masks of the whole image.
    boxes
        (4, n) int32: first line, end line, first position, end position. Lines are rows if the runs' order is
        ``"row"``, otherwise columns. An annotation without pixels has an empty box.
    """

    runs: Runs
    boxes: NDArray[np.int32]

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Compute the bounding boxes of runs."""
        boxes = [_boxes(piece) for piece in runs.pieces()]
        return cls(runs, np.concatenate(boxes, axis=1))

    @property
    def box_areas(self) -> NDArray[np.int64]:
        """(n,) int64: pixels in each annotation's bounding box."""
        first_line, last_line, first_place, last_place = self.boxes.astype(np.int64)
        areas: NDArray[np.int64] = (last_line - first_line) * (last_place - first_place)
        return areas

    @property
    def at_edge(self) -> NDArray[np.bool_]:
        """(n,) bool: annotations with pixels at the edge of the image."""
        first_line, last_line, first_place, last_place = self.boxes
        length = _line_length(self.runs)
        lines = self.runs.shape[0] * self.runs.shape[1] // length
        touching = (first_line == 0) | (first_place == 0) | (last_line == lines) | (last_place == length)
        return np.asarray(touching & (last_line > first_line), bool)

    def cut(self, rows: slice, columns: slice) -> tuple[Runs, NDArray[np.intp]]:
        """Clip the masks to a window.

        Parameters
        ----------
        rows, columns
            The window, bounded and within the image.

        Returns
        -------
        runs : Runs
            Masks within the window, with its shape; some may be empty.
        which : ndarray
            (k,) indices of these annotations, ascending. The others have no pixel in the window.

        Examples
        --------
        >>> from cellprep import parse_rle
        >>> windowed = WindowedRuns.of(parse_rle(["1 7", "9 2"], (3, 4)))
        >>> runs, which = windowed.cut(slice(0, 2), slice(1, 4))
        >>> which, runs.starts, runs.lengths
        (array([0]), array([0, 3]), array([3, 2]))
        """
        by_row = self.runs.order == "row"
        lines, places = (rows, columns) if by_row else (columns, rows)
        which = self._near(lines, places)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        return _cut(self.runs.of_annotations(which), lines, places, shape), which

    def extent(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return a window that contains a given one and all annotations whose boxes intersect it.

        Examples
        --------
        >>> from cellprep import parse_rle
        >>> windowed = WindowedRuns.of(parse_rle(["1 2 6 1", "20 1"], (5, 4), "column"))
        >>> windowed.extent(slice(1, 3), slice(0, 1))
        (slice(0, 3, None), slice(0, 2, None))
        """
        by_row = self.runs.order == "row"
        lines, places = (rows, columns) if by_row else (columns, rows)
        lines, places = around((lines, places), self.boxes[:, self._near(lines, places)])
        return (lines, places) if by_row else (places, lines)

    def _near(self, lines: slice, places: slice) -> NDArray[np.intp]:
        top, bottom, left, right = self.boxes
        near = (top < lines.stop) & (bottom > lines.start) & (left < places.stop) & (right > places.start)
        return np.flatnonzero(near)


def around(window: Window, boxes: NDArray[Any]) -> tuple[slice, slice]:
    """Return the window that contains a window and boxes, (4, n): first and end along each axis.

    Examples
    --------
    >>> around((slice(2, 4), slice(2, 4)), np.array([[1], [3], [3], [9]]))
    (slice(1, 4, None), slice(2, 9, None))
    """
    down, across = window
    top, bottom, left, right = boxes
    return (
        slice(int(top.min(initial=down.start)), int(bottom.max(initial=down.stop))),
        slice(int(left.min(initial=across.start)), int(right.max(initial=across.stop))),
    )


def _line_length(runs: Runs) -> int:
    return runs.shape[1] if runs.order == "row" else runs.shape[0]


def _boxes(runs: Runs) -> NDArray[np.int32]:
    boxes = np.zeros((4, len(runs)), np.int32)
    line_length = _line_length(runs)
    first_line, first_place = np.divmod(runs.starts, line_length)
    last_line, last_place = np.divmod(runs.starts + runs.lengths - 1, line_length)
    goes_on = last_line > first_line  # it covers the end of one line and the beginning of the next
    first_place[goes_on] = 0
    last_place[goes_on] = line_length - 1
    found = np.flatnonzero(np.diff(runs.offsets))
    begins = runs.offsets[found]
    if len(found):
        boxes[0, found] = np.minimum.reduceat(first_line, begins)
        boxes[1, found] = np.maximum.reduceat(last_line, begins) + 1
        boxes[2, found] = np.minimum.reduceat(first_place, begins)
        boxes[3, found] = np.maximum.reduceat(last_place, begins) + 1
    return boxes


def lines_of(runs: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split runs at the ends of lines: return annotation, line, begin and end of each part."""
    line_length = _line_length(runs)
    line, first = np.divmod(runs.starts, line_length)
    beyond = first + runs.lengths  # counted from the beginning of the first line
    count = -(-beyond // line_length)
    before = np.cumsum(count) - count
    step = np.arange(count.sum()) - np.repeat(before, count)  # index of the line within its run
    line = np.repeat(line, count) + step
    begin = np.where(step, 0, np.repeat(first, count))
    end = np.minimum(np.repeat(beyond, count) - step * line_length, line_length)
    return np.repeat(runs.owners, count), line, begin, end


def _cut(runs: Runs, lines: slice, places: slice, shape: tuple[int, int]) -> Runs:
    owners, line, begin, end = lines_of(runs)
    begin, end = np.maximum(begin, places.start), np.minimum(end, places.stop)
    kept = (line >= lines.start) & (line < lines.stop) & (begin < end)
    owners = owners[kept]
    line, begin, end = line[kept], begin[kept], end[kept]
    starts = (line - lines.start) * (places.stop - places.start) + begin - places.start
    return Runs(starts, end - begin, np.searchsorted(owners, np.arange(len(runs) + 1)), shape, runs.order)
