"""The recipe: all choices that determine targets."""

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, cast

import numpy as np

from cellprep.core.cells import Overlap, find_rule
from cellprep.core.shrinking import MOST_SHRINK
from cellprep.core.targets.family import FAMILIES, Family, find_families
from cellprep.core.targets.transforms import DISTANCES, find_distance
from cellprep.errors import RecipeError, SourceError
from cellprep.system.files import read_file
from cellprep.system.options import Option, documented
from cellprep.system.places import as_place
from cellprep.text.wording import described

F = TypeVar("F", bound=Family)


@dataclass(frozen=True, slots=True)
class BinPreset:
    """Named energy bins.

    Attributes
    ----------
    bins
        Ascending distances in pixels.
    about
        Their origin and purpose.
    """

    bins: tuple[float, ...]
    about: str


# Their level i contains the distances above boundary i, up to and including boundary i + 1: a bin begins just above.
_ABOVE = 0.001  # less than the gap to the next Euclidean distance, which is 0.009 at 54 pixels
_PAPER_BOUNDARIES = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 37, 45, 54)

#: The bins by name.
BIN_PRESETS: dict[str, BinPreset] = {
    "sartorius": BinPreset(
        (
            0.955, 1.369, 1.91, 2.324, 2.739, 3.279, 3.694, 4.108, 4.649, 5.063, 5.477, 6.018, 10.0, 20.0, 40.0, 80.0,
        ),
        "17 levels for the cells of the Sartorius competition, by qAp: distances that OpenCV's 3x3 chamfer takes, "
        "then wide ones",
    ),
    "paper": BinPreset(
        tuple(boundary + _ABOVE for boundary in _PAPER_BOUNDARIES),
        "16 levels for objects in street scenes, by Bai and Urtasun: boundaries of exact distances, of each instance",
    ),
}  # fmt: skip

#: Former name of the bins `sartorius`.
PUBLISHED_BINS = BIN_PRESETS["sartorius"].bins

MOST_BINS = 255  # so that a level fits into uint8
_WIDEST_WALL = 99
_SHOWN_BINS = 6  # bins shown in full; of more only the first and the last

_USUAL_TARGETS = ("dwt",)

#: Options that were added later: `Recipe.to_dict` omits them if they have their defaults.
CHOSEN_LATER = ("per_instance", "shrink", "targets")


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The choices by which targets are made from annotations.

    ``bins`` are ascending distances in pixels, or a name in `cellprep.BIN_PRESETS`. The energy level of a pixel is the
    number of bins that its distance reaches.

    Raises
    ------
    RecipeError
        If a value is invalid.

    Examples
    --------
    >>> Recipe(wall_width=5).levels
    17
    >>> Recipe(wall_width=4)
    Traceback (most recent call last):
    cellprep.errors.RecipeError: wall width 4 is not an odd number from 1 to 99
    """

    overlap: Overlap = "smaller-on-top"
    wall_width: Annotated[
        int,
        Option("Width of the walls between touching cells, an odd number of pixels; 1 for no walls.", group="Targets"),
    ] = 3
    distance: Annotated[str, Option("Distance transform", DISTANCES, group="Targets")] = "cv2"
    bins: Annotated[
        tuple[float, ...],
        Option(
            f"Energy bins: {', '.join(BIN_PRESETS)}, or a JSON list of distances in pixels.",
            metavar="NAME|FILE",
            parse=lambda given: find_bins(given) if isinstance(given, str) else given,
            typed="sartorius",
            group="Targets",
        ),
    ] = BIN_PRESETS["sartorius"].bins
    background_cell: Annotated[bool, Option("Treat the background as one large cell.", group="Targets")] = False
    per_instance: Annotated[
        bool,
        Option("Compute distances and vectors for each cell separately, ignoring touching cells.", group="Targets"),
    ] = False
    shrink: Annotated[
        int,
        Option(
            f"Store images and cells at 1/N of their size, N from 2 to {MOST_SHRINK}; 1 keeps their size.",
            metavar="N",
            group="Targets",
        ),
    ] = 1
    targets: Annotated[
        tuple[Family, ...],
        Option(
            "Target families, separated by commas, with options after colons (NAME:rays=64)",
            listed=FAMILIES,  # they are registered later; the help of commands lists them
            metavar="NAME,...",
            parse=find_families,
            typed=",".join(_USUAL_TARGETS),
            group="Targets",
        ),
    ] = cast("tuple[Family, ...]", _USUAL_TARGETS)

    def __post_init__(self) -> None:
        find_rule(self.overlap)
        find_distance(self.distance)
        for name in ("wall_width", "shrink"):
            try:
                object.__setattr__(self, name, operator.index(getattr(self, name)))
            except TypeError:
                words = name.replace("_", " ")
                raise RecipeError(f"{words} {getattr(self, name)!r} is not a whole number") from None
        for name in ("background_cell", "per_instance"):
            object.__setattr__(self, name, _as_flag(name, getattr(self, name)))
        if not (1 <= self.wall_width <= _WIDEST_WALL and self.wall_width % 2):
            raise RecipeError(f"wall width {self.wall_width} is not an odd number from 1 to {_WIDEST_WALL}")
        if not 1 <= self.shrink <= MOST_SHRINK:
            raise RecipeError(f"shrink {self.shrink} is not a whole number from 1 to {MOST_SHRINK}")
        object.__setattr__(self, "bins", _checked_bins(self.bins))
        object.__setattr__(self, "targets", find_families(self.targets))

    def __repr__(self) -> str:
        words = {name: repr(getattr(self, name)) for name in self.__dataclass_fields__}
        words["targets"] = repr(",".join(map(str, self.targets)))
        if self._are_usual_targets:
            del words["targets"]
        if self.shrink == 1:
            del words["shrink"]
        if self.preset:
            words["bins"] = repr(self.preset)
        elif len(self.bins) > _SHOWN_BINS:
            words["bins"] = f"({self.bins[0]}, {self.bins[1]}, ..., {self.bins[-1]})"
        return f"Recipe({', '.join(f'{name}={value}' for name, value in words.items())})"

    @property
    def levels(self) -> int:
        """Number of energy levels."""
        return len(self.bins) + 1

    @property
    def preset(self) -> str | None:
        """Name of the bins; None if they have none."""
        return next((name for name, preset in BIN_PRESETS.items() if preset.bins == self.bins), None)

    @property
    def made(self) -> dict[str, Any]:
        """Targets that the recipe makes, by name, in order."""
        return {target.name: target for family in self.targets for target in family.targets}

    @property
    def stored(self) -> dict[str, Any]:
        """Targets that stores contain; the others are computed when they are read."""
        return {name: target for name, target in self.made.items() if target.is_stored}

    @property
    def computed(self) -> list[str]:
        """Names of the targets that are computed when they are read."""
        return [name for name in self.made if name not in self.stored]

    @property
    def _are_usual_targets(self) -> bool:
        return [str(family) for family in self.targets] == [*_USUAL_TARGETS]

    def of(self, kind: type[F]) -> F:
        """Return the options of a family; the defaults if the recipe does not make its targets."""
        return next((family for family in self.targets if isinstance(family, kind)), None) or kind()

    def to_dict(self) -> dict[str, Any]:
        """Return all choices for stores and weights, without options that were added later and have their defaults.

        This keeps hashes and files as they were before these options existed.

        Examples
        --------
        >>> "per_instance" in Recipe().to_dict(), "per_instance" in Recipe(per_instance=True).to_dict()
        (False, True)
        """
        options = asdict(self)
        options["targets"] = {family.name: asdict(family) for family in self.targets}
        if not self.per_instance:
            del options["per_instance"]
        if self.shrink == 1:
            del options["shrink"]
        if self._are_usual_targets:
            del options["targets"]
        return options

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Return the recipe for a result of `to_dict`.

        Raises
        ------
        TypeError
            If there are other keys.
        RecipeError
            As for the recipe itself.
        """
        return cls(**options)


def find_bins(name: str) -> tuple[float, ...]:
    """Return the energy bins of a name in `BIN_PRESETS`, or read them from a file with `read_bins`.

    Raises
    ------
    SourceError
        If it is neither a known name nor a file of bins.

    Examples
    --------
    >>> find_bins("sartorius")[:3]
    (0.955, 1.369, 1.91)
    """
    if name in BIN_PRESETS:
        return BIN_PRESETS[name].bins
    try:
        return read_bins(Path(name))
    except SourceError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            names = ", ".join(BIN_PRESETS)
            raise SourceError(f"there are no bins {name}: give one of {names}, or an existing JSON file") from error
        raise


def read_bins(path: Path | str) -> tuple[float, ...]:
    """Read energy bins from a JSON file: a list of distances, or an object with such a list under ``bins``.

    Raises
    ------
    SourceError
        If the file cannot be read or does not contain valid bins.
    """
    path = as_place(path)
    try:
        content = json.loads(read_file(path).decode("utf-8"))
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


def _as_flag(name: str, value: object) -> bool:
    if isinstance(value, bool | np.bool_ | int) and value in (0, 1):
        return bool(value)
    raise RecipeError(f"{name} must be True or False, not {described(value)}")


def _checked_bins(bins: Sequence[float]) -> tuple[float, ...]:
    """Return bins as Python floats, so that equal bins give equal recipes."""
    if isinstance(bins, str):
        if bins not in BIN_PRESETS:
            raise RecipeError(f"bins {bins!r} are unknown: give numbers, or one of {', '.join(BIN_PRESETS)}")
        return BIN_PRESETS[bins].bins
    if not (hasattr(bins, "__len__") and hasattr(bins, "__iter__")):
        raise RecipeError(f"bins {bins!r} are not a sequence of numbers")
    if not 1 <= len(bins) <= MOST_BINS:
        raise RecipeError(f"there are {len(bins)} bins: there must be 1 to {MOST_BINS}")
    before = np.float32(0)
    for value in bins:
        single = _to_float32(value)
        if not (np.isfinite(single) and single > 0):
            raise RecipeError(f"bin {str(value)[:40]} is not a distance above 0")
        if single <= before:
            raise RecipeError(f"bin {value} does not exceed the one before it, {before}: bins must ascend")
        before = single
    return tuple(map(float, bins))


def _to_float32(value: float) -> np.float32:
    with np.errstate(over="ignore"):
        try:
            if isinstance(value, str | bool | complex | np.complexfloating) or np.ndim(value):
                raise TypeError(value)
            return np.float32(value)
        except OverflowError:  # an integer with hundreds of digits
            return np.float32(np.inf)
        except (TypeError, ValueError):
            return np.float32(np.nan)
