"""Targets of an image computed window by window, to limit memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import (
    Cells,
    WholeImage,
    count_owners,
    label_boxes,
    look_up,
    resolve_overlaps,
    restore_cells,
    sizes_of,
)
from cellprep.core.rle import Runs, WindowedRuns, around
from cellprep.core.targets import (
    LEAST_STEP,
    TARGETS,
    Recipe,
    compute_some,
    distance_targets,
    pixels_around,
    reach_of_cells,
    with_needs,
)
from cellprep.core.windows import Window, within
from cellprep.system.memory import check_memory

_HALO = 64  # initial halo in pixels: distances within cells are rarely longer
_BYTES_BESIDE = 15  # bytes per pixel of intermediate arrays

Arrays = dict[str, NDArray[Any]]


class CellsByWindow(Protocol):
    """The cells of an image, accessible by window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""

    def at(self, window: Window) -> tuple[Cells, NDArray[Any] | None]:
        """Return the cells of a window, and their labels in the image unless these are the same as in the window."""

    def extent(self, window: Window) -> Window:
        """Return a window that completely contains all cells with a pixel in the given window."""


@dataclass(frozen=True)
class CellsOfRuns:
    """Cells of annotations that may overlap.

    Attributes
    ----------
    runs
        The annotations.
    rule
        A name in `cellprep.OVERLAP_RULES`.
    known_areas
        (n,) int64: pixels of each annotation before overlaps were resolved, if they were resolved before.
    threads
        Number of threads that count the pixels of owners.
    """

    runs: Runs
    rule: str
    known_areas: NDArray[np.int64] | None = None
    threads: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.runs.shape

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each annotation before overlaps are resolved: (n,) int64."""
        return self.runs.areas if self.known_areas is None else self.known_areas

    def at(self, window: Window) -> tuple[Cells, NDArray[Any] | None]:
        """Return the cells of a window, numbered from 1, and their labels in the image."""
        if _shape(window) == self.shape:
            return resolve_overlaps(self.runs, self.rule, self.areas), None
        runs, which = self._windowed.cut(*window)
        cells = resolve_overlaps(runs, self.rule, self.areas[which])
        labels = np.append(0, which + 1).astype(np.uint16 if len(self.runs) <= np.iinfo(np.uint16).max else np.uint32)
        return replace(cells, whole=self._whole, origin=_origin(window)), labels

    def extent(self, window: Window) -> Window:
        """Return a window that contains all annotations that may have a pixel in the given window."""
        return self._windowed.extent(*window)

    def hidden(self) -> NDArray[np.int64]:
        """Return the labels of cells without pixels in the image."""
        return self._owned[0]

    @cached_property
    def _whole(self) -> WholeImage:
        sizes = WholeImage.of(self._labels, self.shape, len(self.runs)).find_sizes
        return WholeImage(lambda: self._owned[1], sizes)

    def _labels(self, window: Window) -> NDArray[Any]:
        return numbered(*self.at(window))

    @cached_property
    def _windowed(self) -> WindowedRuns:
        return WindowedRuns.of(self.runs)

    @cached_property
    def _owned(self) -> tuple[NDArray[np.int64], int]:
        return count_owners(self._windowed, self.rule, self.areas, self.threads)


@dataclass(frozen=True)
class CellsOfLabels:
    """Cells of a label image with resolved overlaps.

    Attributes
    ----------
    read
        Takes a window and returns the labels in it, integers from 0 to n.
    shape
        Height and width of the image in pixels.
    rule
        The rule by which overlaps were resolved.
    areas
        (n,) int64: pixels of each annotation before overlaps were resolved.
    known_nobodys
        Number of pixels with label 0, if known.
    """

    read: Callable[[Window], NDArray[Any]]
    shape: tuple[int, int]
    rule: str
    areas: NDArray[np.int64]
    known_nobodys: int | None = None

    def at(self, window: Window) -> tuple[Cells, None]:
        """Return the cells of a window."""
        cells = restore_cells(self.read(window), self.areas, self.rule)
        return replace(cells, whole=self._whole, origin=_origin(window)), None

    def extent(self, window: Window) -> Window:
        """Return a window with all cells whose boxes intersect the given one, as centres may be outside a cell."""
        (rows, columns), (top, bottom, left, right) = window, self._boxes
        near = (top < rows.stop) & (bottom > rows.start) & (left < columns.stop) & (right > columns.start)
        return around(window, self._boxes[:, near])

    @cached_property
    def _whole(self) -> WholeImage:
        counted, known = WholeImage.of(self.read, self.shape, len(self.areas)), self.known_nobodys
        return WholeImage(counted.count_nobodys if known is None else lambda: known, lambda: sizes_of(self._boxes))

    @cached_property
    def _boxes(self) -> NDArray[np.int64]:
        return label_boxes(self.read, self.shape, len(self.areas))


def numbered(cells: Cells, labels: NDArray[Any] | None) -> NDArray[Any]:
    """Return the image's labels of a window's pixels, from the two results of `CellsByWindow.at`."""
    return cells.labels if labels is None else look_up(labels, cells.labels)


class TargetsByWindow:
    """Labels and targets of windows of an image, equal bit for bit to the same parts of the whole image's arrays.

    A window is computed with a halo. A distance is certain if it is not longer than the distance to the nearest pixel
    that may change outside the halo. The halo is doubled until all distances are certain.

    Parameters
    ----------
    cells
        Cells of the image.
    recipe
        Recipe of the targets. Overlaps are already resolved.
    names
        Names of the targets to compute; by default all that the recipe makes and stores contain.
    halo
        Initial halo around a window, in pixels.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> runs = parse_rle(["1 6 9 6 17 6"], (4, 8))
    >>> targets = TargetsByWindow(CellsOfRuns(runs, "smaller-on-top"), Recipe())
    >>> targets.at(slice(1, 2), slice(4, 8))["energy"]
    array([[3, 1, 0, 0]], dtype=uint8)
    """

    def __init__(
        self, cells: CellsByWindow, recipe: Recipe, names: Iterable[str] | None = None, *, halo: int = _HALO
    ) -> None:
        self._cells = cells
        self._recipe = recipe
        self._one_at_a_time, self._filling = Lock(), Lock()
        self._whole: Arrays | None = None
        self._names = [*(recipe.stored if names is None else names)]
        self._made = with_needs(self._names)
        self._distances = distance_targets(self._made)
        self._halo = halo if self._distances else 0
        # For targets that depend on distances: the margin in which distances must be known, and the margin of these.
        self._rim = max((pixels_around(name, recipe) for name in self._distances), default=0)
        self._margin = max((pixels_around(name, recipe) for name in self._made), default=0)
        self._reach = reach_of_cells(self._names, recipe)
        self._bytes_a_pixel = _BYTES_BESIDE + sum(TARGETS[name].bytes_a_pixel(recipe) for name in self._made)

    def at(self, rows: slice, columns: slice) -> Arrays:
        """Return ``labels`` and the targets of a window: bounded rows and columns within the image.

        Raises
        ------
        TooLargeError
            If distances are so long that the halo does not fit into memory.
        """
        window: Window = (rows, columns)
        inner = window
        if self._reach is not None:
            inner = self._cells.extent(self._grown(window, self._reach))
        halo = self._halo
        arrays = self._try(window, inner, halo)
        while arrays is None:
            halo *= 2
            with self._one_at_a_time:  # because they need much memory
                arrays = self._try(window, inner, halo)
        return arrays

    def made_from(
        self, name: str, window: tuple[slice, slice], read: Callable[[str, Any], NDArray[Any]]
    ) -> NDArray[Any]:
        """Compute a target of a window from the targets that it needs, which are read by name and window."""
        target = TARGETS[name]
        outer = self._grown(window, target.around(self._recipe))
        cells, _ = self._cells.at(outer)
        made = target.compute(cells, {need: read(need, outer) for need in target.needs}, self._recipe)
        part: NDArray[Any] = made[within(window, outer)]
        return part

    def _try(self, window: Window, inner: Window, halo: int) -> Arrays | None:
        """Return the arrays of a window, or None if a larger halo might change them.

        `inner` is the window extended to whole cells, if these matter.
        """
        outer = self._grown(inner, halo + self._margin)
        height, width = _shape(outer)
        if _shape(window) != self._cells.shape:
            size = height * width * self._bytes_a_pixel
            check_memory(size, f"the halo of its distances, {height} x {width} pixels,")
        if (height, width) == self._cells.shape:
            return self._part(self._of_all(), window)
        arrays = self._compute(outer)
        needed = self._grown(inner, self._margin - self._rim)  # vectors are differences between adjacent pixels
        certain, place = self._certain(needed, outer), within(needed, outer)
        if all((np.abs(arrays[name][place]) <= certain).all() for name in self._distances):
            return self._part(arrays, within(window, outer))
        return None

    def _of_all(self) -> Arrays:
        with self._filling:
            if self._whole is None:
                self._whole = self._compute(tuple(slice(0, size) for size in self._cells.shape))
            return self._whole

    def _compute(self, window: Window) -> Arrays:
        cells, labels = self._cells.at(window)
        made = compute_some(cells, {}, self._recipe, self._made)
        return {"labels": numbered(cells, labels), **made}

    def _part(self, arrays: Arrays, window: Window) -> Arrays:
        return {name: arrays[name][window] for name in ("labels", *self._names)}

    def _grown(self, window: Window, by: int) -> Window:
        return tuple(
            slice(max(along.start - by, 0), min(along.stop + by, size))
            for along, size in zip(window, self._cells.shape, strict=True)
        )

    def _certain(self, window: Window, outer: Window) -> NDArray[np.float64]:
        """Return for each pixel of a window the distance up to which nothing outside a larger window matters.

        Beyond the image there is nothing. Walls in the rim of the larger window may be due to cells outside it.
        """
        ways = []
        for along, beyond, size in zip(window, outer, self._cells.shape, strict=True):
            place = np.arange(along.start, along.stop)
            before = place - (beyond.start + self._rim) + 1 if beyond.start > 0 else np.full(len(place), np.inf)
            after = (beyond.stop - self._rim) - place if beyond.stop < size else np.full(len(place), np.inf)
            ways.append(np.minimum(before, after))
        shortest: NDArray[np.float64] = np.minimum(ways[0][:, np.newaxis], ways[1])
        return LEAST_STEP * shortest


def _origin(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.start, columns.start


def _shape(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start
