"""The candidates of tuning, and the choice among them; available without torch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from cellprep.core.decode import DECODERS
from cellprep.core.scores import ImageScore, summarise
from cellprep.errors import UsageError
from cellprep.learn.settings import Decoding, Device, Precision
from cellprep.system.executor import check_jobs
from cellprep.system.options import Jobs, Only, Option, Quiet, documented, take_values

#: The minimum areas to try, in pixels.
MIN_AREAS = (10, 20, 30, 50, 80)

#: The scores that can be maximised, among those that `cellprep.summarise` returns.
SCORES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "kaggle_map": lambda found: found["kaggle_map"],
    "ap50": lambda found: found["ap"]["0.50"],
    "ap75": lambda found: found["ap"]["0.75"],
    "pq": lambda found: found["pq"],
    "aji": lambda found: found["aji"] or 0.0,
}

#: Least number of images in a round, and for checking the choice.
FEWEST_IMAGES = 4

Value = Callable[[Sequence[ImageScore], str], float]

_SHARE = 3  # one in so many survives a round, and the next round has so many times the images


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """The candidates to try, and the score to choose by.

    Raises
    ------
    UsageError
        If a value is not valid.
    """

    decoders: Annotated[
        Sequence[str],
        Option("Decoder to try, repeatable; by default all", DECODERS, flags=("--decoder",)),
    ] = ()
    by_class: Annotated[
        bool,
        Option(
            "Choose a decoding for each class of cells that the weights predict, by the scores of its cells only.",
            flags=("--by-class",),
        ),
    ] = False
    score: Annotated[str, Option("Score to maximise", SCORES)] = "kaggle_map"
    only: Only = ()
    device: Device = "auto"
    precision: Precision = "float32"
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        check_jobs(self.jobs)
        if unknown := [name for name in self.decoders if name not in DECODERS]:
            raise UsageError(f"decoder {unknown[0]!r} is unknown: use one of {', '.join(DECODERS)}")


def candidates(usual: Decoding, decoders: Iterable[str] = ()) -> list[Decoding]:
    """Return the decodings to try: first that of the weights, then every combination of values.

    Parameters
    ----------
    usual
        Decoding of the weights.
    decoders
        Names in `cellprep.DECODERS`; by default all.

    Examples
    --------
    >>> found = candidates(Decoding(), ["watershed"])
    >>> len(found), found[1]
    (16, Decoding(decoder='watershed', min_area=10, options={'min_seed': 10}, by_class={}))
    """
    found = [usual]
    for name in decoders or DECODERS:
        options = {option: known.tried for option, known in DECODERS[name].options().items() if known.tried}
        for values in product(*options.values()):
            found += [Decoding(name, area, dict(zip(options, values, strict=True))) for area in MIN_AREAS]
    return [one for place, one in enumerate(found) if not place or one.key != usual.key]


def rounds(image_ids: Sequence[str]) -> list[list[str]]:
    """Return the images of each round of successive halving: few in the first, all in the last.

    Examples
    --------
    >>> [len(images) for images in rounds([str(number) for number in range(50)])]
    [6, 17, 50]
    """
    ordered = sorted(image_ids)
    counts = sorted(
        {min(len(ordered), max(FEWEST_IMAGES, -(-len(ordered) // part))) for part in (_SHARE**2, _SHARE, 1)}
    )
    return [[ordered[place * len(ordered) // count] for place in range(count)] for count in counts]


def survivors(values: Sequence[float]) -> list[int]:
    """Return the indices of the candidates that survive, given their scores: the first, and the best third.

    Examples
    --------
    >>> survivors([0.1, 0.5, 0.2, 0.9, 0.5, 0.3])
    [0, 1, 3]
    """
    best = sorted(range(len(values)), key=lambda place: (-values[place], place))
    return sorted({0, *best[: -(-len(values) // _SHARE)]})


@dataclass(frozen=True, slots=True)
class Choice:
    """The best of the candidates that were tried on all images.

    Attributes
    ----------
    place
        Its index among them.
    score, before
        Its score, and that of the first candidate, the decoding of the weights.
    checked
        The score on images not used for the choice: each half of the images is scored with the choice from the other
        half. None with fewer than four images.
    """

    place: int
    score: float
    before: float
    checked: float | None

    @property
    def is_gain(self) -> bool:
        """True if it is better, also on images not used for the choice."""
        return self.place > 0 and (self.checked is None or self.checked > self.before)


def choose(scores: Sequence[Sequence[ImageScore]], name: str, value: Value | None = None) -> Choice:
    """Choose among candidates with scores of the same images; the first is the decoding of the weights.

    Parameters
    ----------
    scores
        For each candidate, its score of each image.
    name
        A name in `SCORES`.
    value
        Function of scores and this name that returns one value; by default `value_of`.
    """
    value = value or value_of
    number = len(scores[0])
    every = [value(found, name) for found in scores]
    place = _best(every)
    if number < FEWEST_IMAGES:
        return Choice(place, every[place], every[0], None)
    seen: list[ImageScore] = []
    for chosen_by in (slice(0, None, 2), slice(1, None, 2)):
        best = _best([value(found[chosen_by], name) for found in scores])
        seen += scores[best][1 - chosen_by.start :: 2]
    return Choice(place, every[place], every[0], value(seen, name))


def value_of(scores: Sequence[ImageScore], name: str) -> float:
    """Return a score of a set of images."""
    return float(SCORES[name](summarise(scores)))


def value_in_class(scores: Sequence[ImageScore], name: str) -> float:
    """Return a score of the images in which either side has a cell, as `evaluate` does by class; 0 without such images.

    Examples
    --------
    >>> from cellprep.core.scores.image import NO_CELLS
    >>> value_in_class([NO_CELLS], "pq"), value_of([NO_CELLS], "kaggle_map")
    (0.0, 1.0)
    """
    counting = [score for score in scores if score.truth or score.predicted]
    return value_of(counting, name) if counting else 0.0


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: (values[place], -place))
