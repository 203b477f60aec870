"""Fitting energy bins to the distances of a data set, for cells of other sizes than those of the bins sartorius."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.energy import TOLERANCE
from cellprep.core.targets.histogram import DistanceHistogram
from cellprep.core.targets.recipe import MOST_BINS
from cellprep.errors import RecipeError, UsageError

# Relative difference below which distances are equal, as they are rounded to float32.
_ROUNDING = 1e-6
# The bins sartorius are distances of the 3x3 chamfer, 0.41 to 0.54 pixels apart; those between are omitted.
_SPACING = 0.4
# The bins sartorius have 12 such distances, followed by four wide bins.
_ONE_WIDE_IN = 4

Values = NDArray[np.float64]
Pixels = NDArray[np.int64]


def choose_bins(histogram: DistanceHistogram, levels: int, method: str = "distances") -> tuple[float, ...]:
    """Choose energy bins among the distances that occur.

    The lowest bin is the smallest distance, so that level 0 is everything outside cells and no other level is empty.

    Parameters
    ----------
    histogram
        The distances of cell pixels, all above 0.
    levels
        Number of energy levels, including level 0: 2 to 256.
    method
        A name in `BIN_METHODS`.

    Returns
    -------
    tuple of float
        ``levels - 1`` ascending distances in pixels. Each of them occurs, and reaches its own level.

    Raises
    ------
    UsageError
        If the method or number of levels is invalid, or there are too few different distances.

    Examples
    --------
    >>> choose_bins(DistanceHistogram.of(np.sqrt(np.arange(1, 100, dtype=np.float32))), levels=6)
    (1.0, 1.4142135, 2.0, 2.4494898, 5.0)
    """
    if method not in BIN_METHODS:
        raise RecipeError(f"method {method!r} is unknown: use one of {', '.join(BIN_METHODS)}")
    if not 2 <= levels <= MOST_BINS + 1:
        raise UsageError(f"cannot make {levels} levels: give 2 to {MOST_BINS + 1}")
    first = _told_apart(histogram.values.astype(np.float64))
    if len(first) < levels - 1:
        raise UsageError(
            f"{levels} levels need {levels - 1} different distances, but there are {len(first)}: "
            f"give at most {len(first) + 1} levels"
        )
    values = histogram.values[first]
    pixels = np.add.reduceat(histogram.counts, first)
    places = BIN_METHODS[method](values.astype(np.float64), pixels, levels - 1)
    return tuple(float(str(value)) for value in values[places])  # the shortest decimals that round to this float32


def _told_apart(values: Values) -> NDArray[np.intp]:
    """Return the indices of the distances that exceed the one before by more than rounding and the bins' tolerance."""
    rounding = TOLERANCE + _ROUNDING * values
    return np.flatnonzero(np.diff(values, prepend=-np.inf) > rounding)


def _by_distances(values: Values, pixels: Pixels, count: int) -> list[int]:
    """Select the lowest distances, with a minimum spacing, then wide steps of equal ratio up to the largest."""
    spacing = _SPACING
    while len(spaced := _spaced(values, spacing)) < count:
        spacing /= 2  # small cells have few distances, which are closer together
    wide = count // _ONE_WIDE_IN
    places = spaced[: count - wide]
    targets = np.geomspace(values[places[-1]], values[-1], wide + 2)[1:-1]
    for left, target in zip(range(wide, 0, -1), targets, strict=True):
        places.append(int(np.clip(np.searchsorted(values, target), places[-1] + 1, len(values) - left)))
    return places


def _spaced(values: Values, spacing: float) -> list[int]:
    """Return the indices of the first value, and of each following one at least `spacing` above the one before."""
    places, place = [], 0
    while place < len(values):
        places.append(place)
        place = int(np.searchsorted(values, values[place] + spacing))
    return places


def _by_quantiles(values: Values, pixels: Pixels, count: int) -> list[int]:
    """Assign to each level, from the lowest, the share of the remaining pixels that is nearest to equal."""
    below = np.concatenate(([0], np.cumsum(pixels)))  # pixels below each value
    places = [0]
    for left in range(count, 1, -1):
        here = below[places[-1]]
        target = here + (below[-1] - here) / left
        place = int(np.searchsorted(below, target))
        place -= bool(target - below[place - 1] < below[place] - target)
        places.append(int(np.clip(place, places[-1] + 1, len(values) - left + 1)))
    return places


#: The methods by name: each takes (n,) values in pixels, the pixels of each, and a number of bins, and returns places.
BIN_METHODS: dict[str, Callable[[Values, Pixels, int], list[int]]] = {
    "distances": _by_distances,
    "quantiles": _by_quantiles,
}
