"""Measures of every annotation of an image: an array for each rule, by its name."""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import count_owners
from cellprep.core.overlaps import Overlaps, find_overlaps
from cellprep.core.rle import Runs, WindowedRuns
from cellprep.core.shapes import cutouts, measure_shape

Values = dict[str, NDArray[np.float64]]
Partners = dict[str, NDArray[np.int64]]


def measure_annotations(
    runs: Runs, overlap: str, duplicate_iou: float, before: NDArray[np.integer]
) -> tuple[Values, Partners, float]:
    """Measure every annotation of an image.

    Parameters
    ----------
    runs
        The n annotations.
    overlap
        The rule that will resolve overlaps.
    duplicate_iou
        The lowest IoU of duplicates, which do not count as inside each other.
    before
        (n,) number of pixels of each before overlaps were resolved, if they were. An annotation that lost pixels counts
        as one piece, as others may have divided it.

    Returns
    -------
    values : dict of str to ndarray
        (n,) float64 for each rule: the values that it compares to its threshold.
    partners : dict of str to ndarray
        (n,) int64 for each rule that compares annotations: the annotation that each was compared to.
    twice : float
        Ratio of the pixels covered several times to the pixels covered once, for the image as a whole.
    """
    overlaps = find_overlaps(runs)
    areas = np.maximum(runs.areas, 1)
    duplicate, inside, partners = _compare(overlaps, areas, duplicate_iou)
    hidden = np.zeros(len(runs))
    hidden[count_owners(WindowedRuns.of(runs), overlap, runs.areas)[0] - 1] = 1
    values = {
        "blank": (before == 0).astype(float),
        "duplicate": duplicate,
        "inside": inside,
        "overlap": overlaps.contested / areas,
        "hidden": hidden * (before > 0),
        **_shapes(runs, areas, intact=runs.areas == before),
    }
    return values, partners, overlaps.covered_often / max(overlaps.covered_once, 1)


def _compare(
    overlaps: Overlaps, areas: NDArray[np.int64], duplicate_iou: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], Partners]:
    """Return each one's highest IoU with an earlier one, its largest share inside another, and these partners."""
    first, second, shared = overlaps.first, overlaps.second, overlaps.pixels
    iou = shared / (areas[first] + areas[second] - shared)
    apart = iou < duplicate_iou
    one = np.concatenate((first[apart], second[apart]))
    other = np.concatenate((second[apart], first[apart]))
    smaller = (areas[one] < areas[other]) | ((areas[one] == areas[other]) & (one > other))
    inside = np.tile(shared[apart], 2) / areas[one] * smaller
    highest, original = _greatest(second, iou, first, len(areas))
    share, around = _greatest(one, inside, other, len(areas))
    return highest, share, {"duplicate": original, "inside": around}


def _greatest(
    places: NDArray[np.int64], values: NDArray[np.float64], partners: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the largest value of each place, and its partner; 0 and -1 where there is none."""
    # The largest value comes last, and among equals that of the first partner.
    order = np.lexsort((-partners, values, places))
    greatest, partner = np.zeros(count), np.full(count, -1)
    greatest[places[order]] = values[order]
    partner[places[order]] = partners[order]
    return greatest, partner


def _shapes(runs: Runs, areas: NDArray[np.int64], intact: NDArray[np.bool_]) -> Values:
    shapes, at_edge = [], []
    for cutout in cutouts(runs):
        shapes.append(measure_shape(cutout))
        at_edge.append(any(cutout.at_edge))
    root = np.sqrt(areas)
    return {
        "components": intact * np.array([shape.pieces for shape in shapes], float),
        "holes": np.array([shape.hole_pixels for shape in shapes], float) / areas,
        "thin-lines": np.array([shape.thin_pixels for shape in shapes], float) / root,
        "straight-cut": np.array([shape.straight for shape in shapes], float) / root,
        "edge": np.array(at_edge, float),
    }
