"""The targets of one window of an image after the other, where those of all of it would take too much memory."""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, count_owners, look_up, resolve_overlaps
from cellprep.core.rle import Runs, WindowedRuns
from cellprep.core.targets import Recipe, compute_targets
from cellprep.core.windows import Window, within
from cellprep.system.memory import check_memory

_HALO = 64  # pixels, to begin with: distances within cells are hardly ever longer
_LEAST_STEP = 0.95  # of a distance, for each pixel along an axis: the chamfer's is 0.955, that of the others 1
_BYTES_A_PIXEL = 35  # of memory: the arrays of a window, and what they are made of

Arrays = dict[str, NDArray[Any]]


class TargetsByWindow:
    """Labels and targets of windows of an image: the same, bit for bit, as those parts of the whole image's.

    A window is computed with a halo around it. A distance in it is that in the whole image if it is not longer than
    the way to what the halo leaves out; until this is true of all, the halo is doubled.

    Parameters
    ----------
    runs, areas
        As `cellprep.resolve_overlaps` takes them.
    recipe
        How targets are made, and overlaps resolved.
    threads
        How many count the owners of pixels, to begin with.
    halo
        Pixels around a window at first.

    Attributes
    ----------
    areas
        (n,) int64: pixels of each annotation before overlaps.
    hidden
        (k,) int64: as `cellprep.Cells.hidden`.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> targets = TargetsByWindow(parse_rle(["1 6 9 6 17 6"], (4, 8)), Recipe())
    >>> targets.at(slice(1, 2), slice(4, 8))["energy"]
    array([[3, 1, 0, 0]], dtype=uint8)
    """

    def __init__(
        self,
        runs: Runs,
        recipe: Recipe,
        areas: NDArray[np.int64] | None = None,
        *,
        threads: int = 1,
        halo: int = _HALO,
    ) -> None:
        self.areas = runs.areas if areas is None else areas
        self._windowed = WindowedRuns.of(runs)
        self._shape = runs.shape
        self._recipe = recipe
        self._halo = halo
        self._label_dtype = np.uint16 if len(runs) <= np.iinfo(np.uint16).max else np.uint32
        self._one_at_a_time = Lock()
        self._whole: Arrays | None = None
        self.hidden, nobodys = count_owners(self._windowed, recipe.overlap, self.areas, threads)
        self._nobodys = np.float32(nobodys)

    def at(self, rows: slice, columns: slice) -> Arrays:
        """Return ``labels`` and every target of a window: rows and columns, with both ends, within the image.

        Raises
        ------
        TooLargeError
            If distances are so long that what they depend on does not fit into memory.
        """
        window = (rows, columns)
        halo = self._halo
        arrays = self._try(window, halo)
        while arrays is None:
            halo *= 2
            with self._one_at_a_time:  # for they take much memory
                arrays = self._try(window, halo)
        return arrays

    def _cells(self, window: Window) -> tuple[Cells, NDArray[np.intp]]:
        """Return the cells of a window, numbered from 1, and which of the image's annotations they are."""
        runs, which = self._windowed.cut(*window)
        return resolve_overlaps(runs, self._recipe.overlap, self.areas[which]), which

    def _try(self, window: Window, halo: int) -> Arrays | None:
        """Return the arrays of a window, or None if they might be others with a larger halo."""
        outer = self._grown(window, halo + 1 + self._recipe.wall_width // 2)
        height, width = (along.stop - along.start for along in outer)
        check_memory(height * width * _BYTES_A_PIXEL, f"what distances depend on, {height} x {width} pixels of it,")
        if (height, width) == self._shape:
            return _part(self._of_all(), window)
        arrays = self._compute(outer)
        needed = self._grown(window, 1)  # vectors are made of differences to the next pixels
        if not (_part(arrays, within(needed, outer))["distance"] <= self._certain(needed, outer)).all():
            return None
        return _part(arrays, within(window, outer))

    def _of_all(self) -> Arrays:
        if self._whole is None:
            self._whole = self._compute(self._grown((slice(0, 1), slice(0, 1)), max(self._shape)))
        return self._whole

    def _compute(self, window: Window) -> Arrays:
        cells, which = self._cells(window)
        arrays = compute_targets(cells, self._recipe)
        arrays["area"][cells.labels == 0] = self._nobodys
        return {"labels": look_up(np.append(0, which + 1).astype(self._label_dtype), cells.labels), **arrays}

    def _grown(self, window: Window, by: int) -> Window:
        rows, columns = (
            slice(max(along.start - by, 0), min(along.stop + by, size))
            for along, size in zip(window, self._shape, strict=True)
        )
        return rows, columns

    def _certain(self, window: Window, outer: Window) -> NDArray[np.float64]:
        """Return, for each pixel of a window, up to which distance nothing matters that is not in a larger one.

        Beyond the image there is nothing, and walls in the larger window's rim may be due to cells beyond it.
        """
        rim = self._recipe.wall_width // 2
        ways = []
        for along, around, size in zip(window, outer, self._shape, strict=True):
            place = np.arange(along.start, along.stop)
            before = place - (around.start + rim) + 1 if around.start > 0 else np.full(len(place), np.inf)
            after = (around.stop - rim) - place if around.stop < size else np.full(len(place), np.inf)
            ways.append(np.minimum(before, after))
        shortest: NDArray[np.float64] = np.minimum(ways[0][:, np.newaxis], ways[1])
        return _LEAST_STEP * shortest


def _part(arrays: Arrays, window: Window) -> Arrays:
    return {name: array[window] for name, array in arrays.items()}
