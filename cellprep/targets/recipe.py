"""The recipe: every choice that a target depends on."""

import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.errors import RecipeError, SourceError
from cellprep.labels import find_rule
from cellprep.targets.transforms import find_distance

__all__ = ["MOST_BINS", "PUBLISHED_BINS", "Recipe", "read_bins"]

#: The original author's energy bins, in pixels: distances that OpenCV's 3x3 chamfer takes, then wide ones.
PUBLISHED_BINS = (
    0.955, 1.369, 1.91, 2.324, 2.739, 3.279, 3.694, 4.108, 4.649, 5.063, 5.477, 6.018, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip

MOST_BINS = 255  # so that a level fits into uint8
_WIDEST_WALL = 99


@dataclass(frozen=True, slots=True)
class Recipe:
    """How targets are made from annotations.

    Attributes
    ----------
    overlap
        A name in `cellprep.OVERLAP_RULES`.
    wall_width
        Side of the square, in pixels and odd, by which a cell is dilated to wall it off from those below;
        1 makes no walls.
    distance
        A name in `cellprep.DISTANCES`.
    bins
        Rising distances in pixels; the energy level of a pixel is the number of bins that its distance reaches.
    background_cell
        Whether what is no cell is treated as one gigantic cell.

    Raises
    ------
    RecipeError
        If a value is none that it can have.

    Examples
    --------
    >>> Recipe(wall_width=5).levels
    17
    >>> Recipe(wall_width=4)
    Traceback (most recent call last):
    cellprep.errors.RecipeError: wall width 4 is not an odd number from 1 to 99
    """

    overlap: str = "smaller-on-top"
    wall_width: int = 3
    distance: str = "cv2"
    bins: tuple[float, ...] = PUBLISHED_BINS
    background_cell: bool = False

    def __post_init__(self) -> None:
        find_rule(self.overlap)
        find_distance(self.distance)
        try:
            object.__setattr__(self, "wall_width", operator.index(self.wall_width))
        except TypeError:
            raise RecipeError(f"wall width {self.wall_width!r} is not a whole number") from None
        object.__setattr__(self, "background_cell", bool(self.background_cell))
        if not (1 <= self.wall_width <= _WIDEST_WALL and self.wall_width % 2):
            raise RecipeError(f"wall width {self.wall_width} is not an odd number from 1 to {_WIDEST_WALL}")
        object.__setattr__(self, "bins", _checked_bins(self.bins))

    @property
    def levels(self) -> int:
        """Number of energy levels."""
        return len(self.bins) + 1


def read_bins(path: Path | str) -> tuple[float, ...]:
    """Read energy bins from a JSON file: a list of distances, or an object whose ``bins`` is one.

    Raises
    ------
    SourceError
        If the file cannot be read, or what it holds are no bins.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read the bins file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"bins file {path} is not JSON: {error}") from error
    bins: Any = content.get("bins") if isinstance(content, dict) else content
    if not (isinstance(bins, list) and all(type(value) in (int, float) for value in bins)):
        raise SourceError(f'bins file {path} must hold a list of numbers, such as [1, 2.5], or {{"bins": [1, 2.5]}}')
    try:
        return _checked_bins(bins)
    except RecipeError as error:
        raise SourceError(f"bins file {path}: {error}") from None


def _checked_bins(bins: Sequence[float]) -> tuple[float, ...]:
    """Return bins as Python's floats, so that equal bins give equal recipes."""
    if isinstance(bins, str):
        raise RecipeError(f"bins {bins!r} are a text: give a sequence of numbers")
    if not hasattr(bins, "__len__"):
        raise RecipeError(f"bins {bins!r} are no sequence of numbers")
    if not 1 <= len(bins) <= MOST_BINS:
        raise RecipeError(f"there are {len(bins)} bins: there must be 1 to {MOST_BINS}")
    before = np.float32(0)
    for value in bins:
        single = _to_float32(value)
        if not (np.isfinite(single) and single > 0):
            raise RecipeError(f"bin {str(value)[:40]} is not a distance above 0")
        if single <= before:
            raise RecipeError(f"bin {value} does not exceed the one before it, {before}: bins must rise")
        before = single
    return tuple(map(float, bins))


def _to_float32(value: float) -> np.float32:
    with np.errstate(over="ignore"):
        try:
            return np.float32(value)
        except OverflowError:  # a whole number of hundreds of digits
            return np.float32(np.inf)
        except (TypeError, ValueError):
            return np.float32(np.nan)
