"""Targets of an image that is moved freely: its labels are warped, and all else computed anew from them."""

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

_FIRST_HALO = 32  # pixels around a crop that are computed as well; most cells are no deeper
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

    A distance is known if it is not longer than the way to the edge of what is computed around the crop. Where one
    is longer, more is computed, up to 256 pixels, or the highest bin if that is more. What is then still deeper
    inside has its true level, the highest, the vector 0, and a distance that is too short.

    Parameters
    ----------
    names
        Names of targets; ``labels`` for the warped labels themselves.
    labels
        (H, W) integers from 0 to n.
    areas
        (n,) int64: pixels of each annotation before overlaps.
    whole
        What is known of the whole image.
    recipe
        How the targets are made.
    view
        How the sample shows the image.
    crop
        Side of the sample, in pixels.

    Returns
    -------
    targets : dict of str to ndarray
        By name, (crop, crop, ...), as the store has them. Areas are those of whole cells, times the zoom squared.
    counts : ndarray
        (crop, crop) bool: which pixels show the image and not its mirror image. Where its border is slanted, its
        last pixels do not count either: half of their gradient would be the mirror image's.
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
    """Return how many pixels around a sample `warp_targets` looks at, at most."""
    return _most_halo(recipe) + _around(with_needs(name for name in names if name in TARGETS), recipe)


def _most_halo(recipe: Recipe) -> int:
    return max(_MOST_HALO, _on_grid(recipe.bins[-1] / LEAST_STEP + 2))


def _around(names: Iterable[str], recipe: Recipe) -> int:
    return _on_grid(max((pixels_around(name, recipe) for name in names), default=0))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """A crop with what is around it, as far as it is real.

    Attributes
    ----------
    counts
        (size, size) bool: which pixels of the crop are real, and have real neighbours or none.
    cut_off
        (size, size) bool: which belong to cells that are not seen whole, where there is a target that needs that.
    crop
        Rows and columns of the crop within the arrays.
    cells, done
        Of the crop and some pixels more on each side, for what the other targets need; they end where the image ends.
        `done` are the targets that depend on more than those pixels.
    known
        Up to which distance `done` is true; above, it is at least so much.
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
        """Look at so many pixels around a crop, as far as some targets and all that they need depend on them.

        Nothing is computed where cells are cut off, as more will be looked at then, unless that is all that may be.
        """
        far = with_needs(name for name in names if TARGETS[name].beyond is not Beyond.NOTHING)
        # The outermost pixels lack farther walls, and whatever else targets of the crop look at.
        margin = halo + _around(names, recipe)
        span = Span(-margin, size + margin)
        window = view.window(span, span)
        box = window.box()
        complete = all(side.start > 0 and side.stop < len(span) for side in box)  # there is no more of the image
        if window.real is not None and not cut(window.real, *box).all():
            box = window.all  # the image's border is slanted: cells go on beyond it as their mirror images
        shown = restore_cells(window.show(window.cut(labels), cv2.INTER_NEAREST), areas, recipe.overlap)
        zoom = view.warp.zoom  # areas are those of whole cells, as large as they are seen here
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
        """The longest distance, of the background, too, where there it is below 0."""
        return max((float(np.abs(self.done[name]).max()) for name in self._distances()), default=0.0)

    @property
    def suffice(self) -> bool:
        """Whether all targets are true."""
        return self.deepest <= self.known and not self.cut_off.any()

    def targets(self, names: Collection[str], recipe: Recipe) -> Targets:
        """Return some targets of the crop."""
        made = with_needs(name for name in names if name in TARGETS)
        done = compute_some(self.cells, dict(self.done), recipe, made - self.done.keys())
        for distance in self._distances():
            unknown = np.abs(self.done[distance]) > self.known
            for name in made if unknown.any() else ():
                if distance in TARGETS[name].needs and TARGETS[name].around(recipe):  # a difference of two unknown ones
                    done[name][unknown] = 0
            done[distance] = np.clip(done[distance], -self.known, self.known)
        done["labels"] = self.cells.labels
        return cut_targets({name: done[name] for name in names}, *self.crop)

    def _distances(self) -> list[str]:
        return [name for name in self.done if TARGETS[name].beyond is Beyond.DISTANCE]


def _pixels_around(name: str, far: set[str], recipe: Recipe) -> int:
    """Return how many pixels around a pixel a target depends on in those that are far targets."""
    if name in far:
        return 0
    target = TARGETS[name]
    return target.around(recipe) + max((_pixels_around(need, far, recipe) for need in target.needs), default=0)


def _cut_off(
    reach: int | None, labels: NDArray[Any], inner: Sequence[Span], box: Sequence[Span], size: int
) -> NDArray[np.bool_]:
    """Return which pixels of a crop are so near to cells that go on beyond the edge of the window around it.

    The label image shows rows and columns `box` of a window of so many; where it ends earlier, the image does.
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
    # Beyond the box erosion takes nothing away.
    cut(counts, *box)[...] = cv2.erode(cut(window.real, *box).astype(np.uint8), _CROSS) > 0
    return counts


def _without_mirror(cells: Cells, window: Window, box: Sequence[Span]) -> Cells:
    """Return the cells as far as they are in the image: one and its mirror image would be one cell in two pieces."""
    if window.real is None or (real := cut(window.real, *box)).all():
        return cells
    return replace(cells, ranks=cells.ranks * real, labels=cells.labels * real)


def _part(cells: Cells, box: Sequence[Span]) -> Cells:
    return replace(cells, ranks=cut(cells.ranks, *box), labels=cut(cells.labels, *box))


def _with_neighbours(span: Span, size: int, more: int) -> Span:
    """Return a span and more pixels at each end; all that there are if it leaves them, for their mirror image."""
    return Span(span.start - more, span.stop + more).limited(size) if span.within(size) else Span(0, size)


def _on_grid(pixels: float) -> int:
    return GRID * int(np.ceil(pixels / GRID))
