"""The measures of every annotation of an image: arrays by the name of the rule that judges them."""

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
        The annotations, n in number.
    overlap
        The rule by which overlaps will be resolved.
    duplicate_iou
        The IoU from which on two are duplicates; these are not also one inside the other.
    before
        (n,) the pixels of each before overlaps were resolved, if they were. One that has lost some counts as one
        piece: others may have parted it.

    Returns
    -------
    values : dict of str to ndarray
        Per rule (n,) float64: what the rule judges.
    partners : dict of str to ndarray
        Per rule that compares annotations (n,) int64: the one it was compared to.
    twice : float
        Pixels covered several times, over those covered once; the rule of the image as a whole.
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
    """Return the highest IoU of each with an earlier one, the greatest share of it inside another, and with which."""
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
    """Return the greatest value at each place, and the partner that it belongs to; 0 and -1 where there is none."""
    order = np.lexsort((-partners, values, places))  # the greatest comes last, and of equals the first partner's
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
