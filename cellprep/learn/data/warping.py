"""Targets of an image that is moved freely: its labels are warped, and all else computed anew from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, look_up, restore_cells
from cellprep.core.targets import TARGETS, Recipe
from cellprep.learn.data.views import View, Window
from cellprep.learn.data.warp import GRID
from cellprep.learn.data.windows import Span, cut, cut_targets

_FIRST_HALO = 32  # pixels around a crop that are computed as well; most cells reach no deeper
_MOST_HALO = 256
_SHORTEST_STEP = 0.95  # distances grow at least by so much from pixel to pixel; the chamfer's step is 0.955
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

Targets = dict[str, NDArray[Any]]


def warp_targets(
    labels: NDArray[Any], areas: NDArray[np.int64], nobodys: int, recipe: Recipe, view: View, crop: int
) -> tuple[Targets, NDArray[np.bool_]]:
    """Compute the targets of a sample from warped labels.

    A distance is known if it is not longer than the way to the edge of what is computed around the crop. Where one
    is longer, more is computed, up to 256 pixels, or the highest bin if that is more. What is then still deeper
    inside has its true level, the highest, and the vector 0.

    Parameters
    ----------
    labels
        (H, W) integers from 0 to n.
    areas
        (n,) int64: pixels of each annotation before overlaps.
    nobodys
        Number of pixels of the image that nobody owns.
    recipe
        How the targets are made.
    view
        How the sample shows the image.
    crop
        Side of the sample, in pixels.

    Returns
    -------
    targets : dict of str to ndarray
        ``semseg`` (crop, crop, 3) uint8, ``uvec`` (crop, crop, 2) float32, ``energy`` (crop, crop) uint8, and
        ``area`` (crop, crop) float32: that of the whole cell, times the zoom squared.
    counts : ndarray
        (crop, crop) bool: which pixels show the image and not its mirror image. Where its border is slanted, its
        last pixels do not count either: half of their gradient would be the mirror image's.
    """
    most = max(_MOST_HALO, _on_grid(recipe.bins[-1] / _SHORTEST_STEP + 2))
    halo = _FIRST_HALO
    while not (surroundings := _Surroundings.of(labels, areas, recipe, view, crop, halo)).suffice and halo < most:
        halo = min(most, _on_grid(surroundings.deepest / _SHORTEST_STEP + 2))
    return surroundings.targets(recipe, nobodys, view.warp.zoom), surroundings.counts


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """A crop with what is around it, as far as it is real.

    Attributes
    ----------
    counts
        (size, size) bool: which pixels of the crop are real, and have real neighbours or none.
    crop
        Rows and columns of the crop within the arrays.
    cells, semseg, distance
        Of the crop and one pixel more on each side, for the gradient; they end where the image ends.
    known
        Up to which distance `distance` is true; above, it is at least so much.
    """

    counts: NDArray[np.bool_]
    crop: Sequence[Span]
    cells: Cells
    semseg: NDArray[np.uint8]
    distance: NDArray[np.float32]
    known: float

    @classmethod
    def of(
        cls, labels: NDArray[Any], areas: NDArray[np.int64], recipe: Recipe, view: View, size: int, halo: int
    ) -> "_Surroundings":
        """Look at so many pixels around a crop."""
        margin = halo + _on_grid(recipe.wall_width // 2)  # the outermost lack the walls of cells farther out
        span = Span(-margin, size + margin)
        window = view.window(span, span)
        box = window.box()
        complete = all(side.start > 0 and side.stop < len(span) for side in box)  # there is no more of the image
        if window.real is not None and not cut(window.real, *box).all():
            box = window.all  # the image's border is slanted: cells go on beyond it as their mirror images
        cells = _part(restore_cells(window.show(window.cut(labels), cv2.INTER_NEAREST), areas, recipe.overlap), box)
        done: Targets = {}
        for name in ("semseg", "distance"):
            done[name] = TARGETS[name](cells, done, recipe)
        inner = [Span(margin, margin + size).moved(-side.start) for side in box]
        near = [_with_neighbours(part, len(side)) for part, side in zip(inner, box, strict=True)]
        crop = [part.moved(-kept.start) for part, kept in zip(inner, near, strict=True)]
        return cls(
            counts=_counts(window, box)[margin:-margin, margin:-margin],
            crop=crop,
            cells=_part(cells, near),
            semseg=cut(done["semseg"], *near),
            distance=cut(done["distance"], *near),
            known=np.inf if complete else _SHORTEST_STEP * (halo - 1),
        )

    @property
    def deepest(self) -> float:
        """The longest distance."""
        return float(self.distance.max())

    @property
    def suffice(self) -> bool:
        """Whether all distances are true."""
        return self.deepest <= self.known

    def targets(self, recipe: Recipe, nobodys: int, zoom: float) -> Targets:
        """Return the targets of the crop; `nobodys` is the number of pixels of the whole image that nobody owns."""
        done: Targets = {"semseg": self.semseg, "distance": self.distance}
        for name in ("uvec", "energy"):
            done[name] = TARGETS[name](self.cells, done, recipe)
        if not self.suffice:
            done["uvec"] *= (self.distance <= self.known)[..., None]
        areas = look_up(np.concatenate(([nobodys], self.cells.areas)), self.cells.labels)
        done["area"] = (areas * zoom**2).astype(np.float32)
        del done["distance"]
        return cut_targets(done, *self.crop)


def _counts(window: Window, box: Sequence[Span]) -> NDArray[np.bool_]:
    if window.real is None:
        return np.ones(window.there.shape[1:], np.bool_)
    counts = np.zeros(window.real.shape, np.bool_)
    # Beyond the box erosion takes nothing away.
    cut(counts, *box)[...] = cv2.erode(cut(window.real, *box).astype(np.uint8), _CROSS) > 0
    return counts


def _part(cells: Cells, box: Sequence[Span]) -> Cells:
    return Cells(cut(cells.ranks, *box), cut(cells.labels, *box), cells.areas)


def _with_neighbours(span: Span, size: int) -> Span:
    """Return a span and one pixel more at each end; all pixels there are if it leaves them, for their mirror image."""
    return Span(span.start - 1, span.stop + 1).limited(size) if span.within(size) else Span(0, size)


def _on_grid(pixels: float) -> int:
    return GRID * int(np.ceil(pixels / GRID))
