"""Targets of an image that is moved freely: labels are warped, and everything else is recomputed from them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, WholeImage, restore_cells
from cellprep.core.targets import (
    LEAST_STEP,
    TARGETS,
    Beyond,
    Recipe,
    compute_some,
    pixels_around,
    reach_of_cells,
    with_needs,
)
from cellprep.learn.data.views import View, Window
from cellprep.learn.data.warp import GRID
from cellprep.learn.data.windows import Span, cut, cut_targets

_FIRST_HALO = 32  # pixels around a crop that are computed as well; few cells are deeper
_MOST_HALO = 256
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

Targets = dict[str, NDArray[Any]]


def warp_targets(
    names: Collection[str],
    labels: NDArray[Any],
    areas: NDArray[np.int64],
    whole: WholeImage,
    recipe: Recipe,
    view: View,
    crop: int,
) -> tuple[Targets, NDArray[np.bool_]]:
    """Compute the targets of a sample from warped labels.

    A distance is exact if it is not longer than the distance to the edge of the region computed around the crop. For
    longer ones a larger region is computed: up to 256 pixels around the crop, or the highest bin if that is more.
    Pixels that are deeper still have the right level (the highest), the vector 0, and a distance that is too short.

    Parameters
    ----------
    names
        Names of targets; ``labels`` for the warped labels themselves.
    labels
        (H, W) integers from 0 to n.
    areas
        (n,) int64: pixels of each annotation before overlaps are resolved.
    whole
        Values of the whole image.
    recipe
        The recipe of the targets.
    view
        The view of the image in the sample.
    crop
        Side of the sample, in pixels.

    Returns
    -------
    targets : dict of str to ndarray
        By name, (crop, crop, ...), as in the store. Areas are those of whole cells, times the zoom squared.
    counts : ndarray
        (crop, crop) bool: True for pixels that show the image, not its mirror image. At a slanted border the last
        pixels of the image are False, too: half of their gradient would be the mirror image's.
    """
    most = _most_halo(recipe)
    made = with_needs(name for name in names if name in TARGETS)
    halo = _FIRST_HALO
    while True:
        near = _Surroundings.of(made, labels, areas, whole, recipe, view, crop, halo)
        if near.suffice or halo >= most:
            return near.targets(names, recipe), near.counts & ~near.cut_off
        wanted = 2 * halo if near.cut_off.any() else near.deepest / LEAST_STEP + 2
        halo = min(most, _on_grid(wanted))


def most_pixels_around(names: Iterable[str], recipe: Recipe) -> int:
    """Return the largest number of pixels around a sample that `warp_targets` uses."""
    return _most_halo(recipe) + _around(with_needs(name for name in names if name in TARGETS), recipe)


def _most_halo(recipe: Recipe) -> int:
    return max(_MOST_HALO, _on_grid(recipe.bins[-1] / LEAST_STEP + 2))


def _around(names: Iterable[str], recipe: Recipe) -> int:
    return _on_grid(max((pixels_around(name, recipe) for name in names), default=0))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """A crop with its surroundings, as far as they are real.

    Attributes
    ----------
    counts
        (size, size) bool: True for pixels of the crop that are real, and have real neighbours or none.
    cut_off
        (size, size) bool: True for pixels of cells that are not entirely visible, if a target needs whole cells.
    crop
        Rows and columns of the crop within the arrays.
    cells, done
        Of the crop and some pixels around it that the other targets need, up to the end of the image.
        `done` are the targets that depend on more than those pixels.
    known
        The distance up to which `done` is exact; longer distances are at least this.
    """

    counts: NDArray[np.bool_]
    cut_off: NDArray[np.bool_]
    crop: Sequence[Span]
    cells: Cells
    done: Targets
    known: float

    @classmethod
    def of(
        cls,
        names: Collection[str],
        labels: NDArray[Any],
        areas: NDArray[np.int64],
        whole: WholeImage,
        recipe: Recipe,
        view: View,
        size: int,
        halo: int,
    ) -> "_Surroundings":
        """Compute with this many pixels around a crop, as far as the given targets and their inputs depend on them.

        Nothing is computed if cells are truncated, as a larger region is then used, unless this is the largest one.
        """
        far = with_needs(name for name in names if TARGETS[name].beyond is not Beyond.NOTHING)
        # The outermost pixels lack farther walls, and the other pixels that targets of the crop depend on.
        margin = halo + _around(names, recipe)
        span = Span(-margin, size + margin)
        window = view.window(span, span)
        box = window.box()
        complete = all(side.start > 0 and side.stop < len(span) for side in box)  # the image does not continue
        if window.real is not None and not cut(window.real, *box).all():
            box = window.all  # the image's border is slanted: cells continue beyond it as their mirror images
        shown = restore_cells(window.show(window.cut(labels), cv2.INTER_NEAREST), areas, recipe.overlap)
        zoom = view.warp.zoom  # areas are those of whole cells, at this zoom
        cells = replace(_part(shown, box), areas=areas * zoom**2, whole=whole.scaled(zoom))
        seen = _without_mirror(cells, window, box)
        inner = [Span(margin, margin + size).moved(-side.start) for side in box]
        cut_off = _cut_off(reach_of_cells(names, recipe), seen.labels, inner, box, len(span))
        done: Targets = {}
        suffices = not cut_off.any() or halo >= _most_halo(recipe)
        for name in [name for name in TARGETS if name in far and suffices]:
            compute_some(seen if TARGETS[name].beyond is Beyond.CELLS else cells, done, recipe, [name])
        more = max((_pixels_around(name, far, recipe) for name in names), default=0)
        near = [_with_neighbours(part, len(side), more) for part, side in zip(inner, box, strict=True)]
        return cls(
            counts=_counts(window, box)[margin:-margin, margin:-margin],
            cut_off=cut_off,
            crop=[part.moved(-kept.start) for part, kept in zip(inner, near, strict=True)],
            cells=_part(cells, near),
            done={name: cut(array, *near) for name, array in done.items()},
            known=np.inf if complete else LEAST_STEP * (halo - 1),
        )

    @property
    def deepest(self) -> float:
        """The longest distance, including that of the background if it is below 0 there."""
        return max((float(np.abs(self.done[name]).max()) for name in self._distances()), default=0.0)

    @property
    def suffice(self) -> bool:
        """True if all targets are exact."""
        return self.deepest <= self.known and not self.cut_off.any()

    def targets(self, names: Collection[str], recipe: Recipe) -> Targets:
        """Return the named targets of the crop."""
        made = with_needs(name for name in names if name in TARGETS)
        done = compute_some(self.cells, dict(self.done), recipe, made - self.done.keys())
        for distance in self._distances():
            unknown = np.abs(self.done[distance]) > self.known
            for name in made if unknown.any() else ():
                if distance in TARGETS[name].needs and TARGETS[name].around(recipe):  # a difference of unknowns
                    done[name][unknown] = 0
            done[distance] = np.clip(done[distance], -self.known, self.known)
        done["labels"] = self.cells.labels
        return cut_targets({name: done[name] for name in names}, *self.crop)

    def _distances(self) -> list[str]:
        return [name for name in self.done if TARGETS[name].beyond is Beyond.DISTANCE]


def _pixels_around(name: str, far: set[str], recipe: Recipe) -> int:
    """Return the number of pixels around a pixel in which a target depends on far targets."""
    if name in far:
        return 0
    target = TARGETS[name]
    return target.around(recipe) + max((_pixels_around(need, far, recipe) for need in target.needs), default=0)


def _cut_off(
    reach: int | None, labels: NDArray[Any], inner: Sequence[Span], box: Sequence[Span], size: int
) -> NDArray[np.bool_]:
    """Return the pixels of a crop that are near cells that continue beyond the edge of the window around it.

    The label image shows rows and columns `box` of a window of this size; where it ends earlier, the image ends.
    """
    rows, columns = box
    ends = [
        (rows.start == 0, labels[0]),
        (rows.stop == size, labels[-1]),
        (columns.start == 0, labels[:, 0]),
        (columns.stop == size, labels[:, -1]),
    ]
    edges = [line for is_cut, line in ends if is_cut]
    if reach is None or not edges:
        return np.zeros(cut(labels, *inner).shape, np.bool_)
    of_edges = np.concatenate(edges)
    on_edge = np.isin(labels, np.unique(of_edges[of_edges > 0])).astype(np.uint8)
    near = cv2.dilate(on_edge, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) if reach else on_edge
    return cut(near, *inner) > 0


def _counts(window: Window, box: Sequence[Span]) -> NDArray[np.bool_]:
    if window.real is None:
        return np.ones(window.there.shape[1:], np.bool_)
    counts = np.zeros(window.real.shape, np.bool_)
    # Erosion removes nothing beyond the box.
    cut(counts, *box)[...] = cv2.erode(cut(window.real, *box).astype(np.uint8), _CROSS) > 0
    return counts


def _without_mirror(cells: Cells, window: Window, box: Sequence[Span]) -> Cells:
    """Return the parts of cells inside the image: a cell and its mirror image would be one cell in two pieces."""
    if window.real is None or (real := cut(window.real, *box)).all():
        return cells
    return replace(cells, ranks=cells.ranks * real, labels=cells.labels * real)


def _part(cells: Cells, box: Sequence[Span]) -> Cells:
    return replace(cells, ranks=cut(cells.ranks, *box), labels=cut(cells.labels, *box))


def _with_neighbours(span: Span, size: int, more: int) -> Span:
    """Return a span with more pixels at each end; all pixels if it leaves the image, for their mirror image."""
    return Span(span.start - more, span.stop + more).limited(size) if span.within(size) else Span(0, size)


def _on_grid(pixels: float) -> int:
    return GRID * int(np.ceil(pixels / GRID))
