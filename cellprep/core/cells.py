"""Overlaps between cells: assigning each pixel of an image to one cell.

Annotated cells may overlap, predicted ones must not, so one of two overlapping cells has to lie on top. A rule defines
the order in which cells are placed; everything else follows from one image, that of the cells' ranks.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_label_image, as_masks, as_numbers
from cellprep.core.rle import Runs, WindowedRuns, runs_from_masks
from cellprep.core.windows import Window, windows
from cellprep.errors import AnnotationError, RecipeError, UsageError
from cellprep.system.options import Option

_PIXELS_A_CELL = 64  # cells are rarely smaller
ROWS_AT_ONCE = 128  # so that intermediate results stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one image after their overlaps are resolved.

    Attributes
    ----------
    ranks
        (H, W) uint16, or uint32 beyond 65,535 cells: rank of each pixel's owner, counted from 1 in order of placement.
        Higher ranks lie on top. 0 = no owner.
    labels
        (H, W) of the same dtype: 1 + index of the annotation that owns the pixel; 0 = no owner.
    areas
        (n,) int64: number of pixels of each annotation before overlaps are resolved.
    whole
        Facts about the whole image, if these are the cells of a part of it.
    origin
        Row and column of the part's first pixel in the image.
    """

    ranks: NDArray[Any]
    labels: NDArray[Any]
    areas: NDArray[Any]
    whole: "WholeImage | None" = None
    origin: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        return f"<Cells: {len(self.areas):,} in {height} x {width} pixels>"

    @property
    def image(self) -> "WholeImage":
        """The whole image that the cells belong to."""
        return self.whole or WholeImage.of(self.labels.__getitem__, self.labels.shape, len(self.areas))

    def hidden(self) -> NDArray[np.int64]:
        """Return the labels of cells without pixels, because others cover them completely: (k,) int64."""
        return hidden_labels(self.labels, len(self.areas))


@dataclass(frozen=True)
class WholeImage:
    """Facts about a whole image that the targets of a part may depend on; each is computed on first use.

    Attributes
    ----------
    count_nobodys, find_sizes
        Functions that compute them.
    """

    count_nobodys: Callable[[], float]
    find_sizes: Callable[[], NDArray[Any]]

    @classmethod
    def of(cls, read: Callable[[Window], NDArray[Any]], shape: tuple[int, ...], count: int) -> "WholeImage":
        """Return the facts of a label image, (H, W) integers from 0 to `count`, which is read window by window."""

        def nobodys() -> int:
            return sum(int(np.count_nonzero(read(window) == 0)) for window in windows((shape[0], shape[1])))

        return cls(nobodys, lambda: sizes_of(label_boxes(read, (shape[0], shape[1]), count)))

    @cached_property
    def nobodys(self) -> float:
        """Number of pixels without an owner."""
        return self.count_nobodys()

    @cached_property
    def sizes(self) -> NDArray[Any]:
        """(n, 2) int64: height and width of each cell's bounding box; 0 for cells without pixels."""
        return self.find_sizes()

    def scaled(self, zoom: float) -> "WholeImage":
        """Return the facts of the image enlarged by a factor."""
        return WholeImage(lambda: self.nobodys * zoom**2, lambda: self.sizes * zoom)


def label_boxes(read: Callable[[Window], NDArray[Any]], shape: tuple[int, int], count: int) -> NDArray[np.int64]:
    """Return the bounding box of each label: (4, n) int64, first row, end row, first column, end column.

    For labels without pixels, both ends are 0.

    Parameters
    ----------
    read
        Takes a window and returns its labels: integers from 0 to `count`.
    shape
        (H, W) of the image.
    count
        Number of labels, n.

    Examples
    --------
    >>> label_boxes(np.array([[0, 3, 3], [1, 1, 0]]).__getitem__, (2, 3), 3)
    array([[1, 3, 0],
           [2, 0, 1],
           [0, 3, 1],
           [2, 0, 3]])
    """
    boxes = np.zeros((4, count), np.int64)
    boxes[0::2] = max(shape)
    for window in windows(shape):
        labels = read(window)
        owners = labels[labels > 0].astype(np.intp) - 1
        for axis, (pixels, along) in enumerate(zip(np.nonzero(labels), window, strict=True)):
            np.minimum.at(boxes[2 * axis], owners, pixels + along.start)
            np.maximum.at(boxes[2 * axis + 1], owners, pixels + along.start + 1)
    return boxes


def sizes_of(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return height and width of each box of `label_boxes`: (n, 2)."""
    sizes: NDArray[np.int64] = np.maximum(boxes[1::2] - boxes[0::2], 0).T
    return sizes


def hidden_labels(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the labels from 1 to `count` without pixels in a label image, (H, W) integers: (k,) int64."""
    visible = np.bincount(labels[::6, ::6].ravel(), minlength=count + 1)  # nearly all cells have such a pixel
    if not visible[1 : count + 1].all():
        visible = np.bincount(labels[labels > 0], minlength=count + 1)
    return np.flatnonzero(visible[1 : count + 1] == 0) + 1


@dataclass(frozen=True, slots=True)
class OverlapRule:
    """A rule that resolves overlaps.

    Attributes
    ----------
    order
        Takes the areas (n,) of the annotations and returns the order (n,) of placement.
    keep_contested
        Whether a pixel that several cells claim belongs to the topmost cell (True) or to none (False).
    """

    order: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    keep_contested: bool = True


def _largest_first(areas: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.argsort(-areas, kind="stable")


def _as_annotated(areas: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.arange(len(areas))


#: The rules by name: smaller cells on top; later cells on top; pixels claimed by several cells belong to none.
OVERLAP_RULES: dict[str, OverlapRule] = {
    "smaller-on-top": OverlapRule(_largest_first),
    "later-on-top": OverlapRule(_as_annotated),
    "background": OverlapRule(_largest_first, keep_contested=False),
}


def resolve_overlaps(
    runs: Runs | ArrayLike, rule: str = "smaller-on-top", areas: NDArray[np.int64] | None = None
) -> Cells:
    """Assign each pixel to one cell.

    Parameters
    ----------
    runs
        The annotations: runs from `cellprep.parse_rle`; or masks, (n, H, W) or a list of n (H, W), boolean or with one
        nonzero value each.
    rule
        A name in `OVERLAP_RULES`. Cells of equal area keep their order, with the later one on top.
    areas
        (n,) pixels of each annotation before overlaps were resolved, if they were resolved before. By default the areas
        of `runs`.

    Raises
    ------
    RecipeError
        If the rule is unknown.
    UsageError
        If `runs` or `areas` are invalid.

    Examples
    --------
    A cell of four pixels, and one of two pixels that covers half of the other's last column:

    >>> from cellprep import parse_rle
    >>> runs = parse_rle(["2 1 6 1", "1 2 5 2"], (2, 4))
    >>> resolve_overlaps(runs).labels
    array([[2, 1, 0, 0],
           [2, 1, 0, 0]], dtype=uint16)
    >>> resolve_overlaps(runs, "background").labels
    array([[2, 0, 0, 0],
           [2, 0, 0, 0]], dtype=uint16)
    """
    chosen = find_rule(rule)
    runs = runs if isinstance(runs, Runs) else runs_from_masks(as_masks(runs))
    areas = runs.areas if areas is None else as_numbers(areas, "areas", "(n,) pixels")
    if areas.shape != (len(runs),):
        raise UsageError(f"areas has shape {areas.shape}: it must be ({len(runs)},), one for each annotation")
    rank_of = _rank_of(areas, chosen)
    ranks = runs.paint(rank_of[1:])
    if not chosen.keep_contested:
        ranks[runs.coverage() > 1] = 0
    return Cells(ranks, look_up(_invert(rank_of), ranks), areas)


def count_owners(
    windowed: WindowedRuns, rule: str, areas: NDArray[np.int64], threads: int = 1
) -> tuple[NDArray[np.int64], int]:
    """Resolve overlaps window by window, only for counting.

    Parameters
    ----------
    windowed
        The annotations.
    rule, areas
        As `resolve_overlaps`.
    threads
        Number of windows processed in parallel.

    Returns
    -------
    hidden : ndarray
        As `Cells.hidden`.
    nobodys : int
        Number of pixels without an owner.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> runs = parse_rle(["2 1 6 1", "1 2 5 2"], (2, 4))
    >>> count_owners(WindowedRuns.of(runs), "background", runs.areas)
    (array([1]), 6)
    """
    owned = np.zeros(len(windowed.runs) + 1, bool)

    def count(window: tuple[slice, slice]) -> int:
        runs, which = windowed.cut(*window)
        labels = resolve_overlaps(runs, rule, areas[which]).labels
        pixels = np.bincount(labels.ravel(), minlength=len(which) + 1)
        owned[1 + which[pixels[1:] > 0]] = True
        return int(pixels[0])

    with ThreadPoolExecutor(threads) as pool:
        nobodys = sum(pool.map(count, windows(windowed.runs.shape)))
    return np.flatnonzero(~owned[1:]) + 1, nobodys


def cells_from_labels(labels: ArrayLike, rule: str = "smaller-on-top") -> Cells:
    """Make cells from a label image, in which every pixel already has one owner.

    Areas are those of the labels. If annotations overlapped before, a cell may now be smaller than a neighbour that it
    was larger than; the wall between them then changes sides.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing. Number k stays label k.
    rule
        As for `resolve_overlaps`; it decides which of two touching cells gets the wall.

    Raises
    ------
    UsageError
        If `labels` is not a label image.
    RecipeError
        If the rule is unknown.

    Examples
    --------
    >>> cells = cells_from_labels([[1, 1, 3], [0, 1, 3]])
    >>> cells.areas
    array([3, 0, 2])
    >>> cells.ranks
    array([[1, 1, 2],
           [0, 1, 2]], dtype=uint16)
    """
    image = as_label_image(labels)
    areas = np.bincount(image.ravel(), minlength=1)[1:]
    return restore_cells(image, areas, rule)


def restore_cells(labels: NDArray[Any], areas: NDArray[np.int64], rule: str) -> Cells:
    """Restore the cells that `resolve_overlaps` returned from the data in a store.

    Ranks may have other values, as cells without visible pixels may be skipped, but their order is the same.

    Parameters
    ----------
    labels
        (H, W) integers from 0 to n, for the image or a part of it.
    areas
        (n,) int64: pixels of each annotation before overlaps are resolved.
    rule
        A name in `OVERLAP_RULES`.

    Raises
    ------
    AnnotationError
        If a label exceeds n.
    RecipeError
        If the rule is unknown.

    Examples
    --------
    >>> restore_cells(np.array([[2, 1]]), np.array([2, 1]), "smaller-on-top").ranks
    array([[2, 1]], dtype=uint16)
    """
    chosen = find_rule(rule)
    if len(areas) < labels.size // _PIXELS_A_CELL:
        rank_of = _rank_of(areas, chosen)
    else:  # few of the cells are in this part of the image, so only those are ranked
        _check_indices(labels, len(areas) + 1)
        is_here = np.zeros(len(areas) + 1, bool)
        is_here[labels] = True
        here = np.flatnonzero(is_here[1:])
        rank_of = np.zeros(len(areas) + 1, _dtype_of_ranks(len(areas)))
        rank_of[1 + here] = _rank_of(areas[here], chosen)[1:]
    return Cells(look_up(rank_of, labels), labels.astype(rank_of.dtype), areas)


def look_up(table: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    """Return ``table[indices]`` for an image of indices, without converting all of them to NumPy's index type.

    Raises
    ------
    AnnotationError
        If an index exceeds the table.

    Examples
    --------
    >>> look_up(np.array([0, 7, 9]), np.array([[2, 1], [0, 2]]))
    array([[9, 7],
           [0, 9]])
    """
    result = np.empty(indices.shape, table.dtype)
    for top in range(0, len(indices), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        _check_indices(indices[rows], len(table))
        np.take(table, indices[rows], out=result[rows], mode="clip")  # this mode needs no copy of `out`
    return result


def _check_indices(indices: NDArray[Any], end: int) -> None:
    highest = indices.max(initial=0)
    lowest = 0 if indices.dtype.kind == "u" else indices.min(initial=0)
    if lowest < 0 or highest >= end:
        stranger = lowest if lowest < 0 else highest
        raise AnnotationError(
            f"the label image contains label {stranger}, but there are only {end - 1} cells: it is damaged"
        )


Overlap = Annotated[str, Option("Rule for pixels that several cells claim", OVERLAP_RULES, group="Targets")]


def find_rule(name: str) -> OverlapRule:
    """Return the overlap rule of a name."""
    if not isinstance(name, str) or name not in OVERLAP_RULES:
        raise RecipeError(f"overlap rule {name!r} is unknown: use one of {', '.join(OVERLAP_RULES)}")
    return OVERLAP_RULES[name]


def _rank_of(areas: NDArray[np.int64], rule: OverlapRule) -> NDArray[Any]:
    """Return the rank of each label, (n + 1,): 1 for the cell placed first, 0 for the background."""
    order = np.concatenate(([0], rule.order(areas) + 1))
    return _invert(order).astype(_dtype_of_ranks(len(areas)))


def _dtype_of_ranks(cells: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if cells <= np.iinfo(np.uint16).max else np.uint32


def _invert(permutation: NDArray[Any]) -> NDArray[Any]:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse
