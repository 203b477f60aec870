"""Weights that belong together: all that turns an image into instances."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cellprep.errors import UsageError, WeightsError
from cellprep.learn.appearance import AppearanceRange
from cellprep.learn.networks.semseg import SEMSEG
from cellprep.learn.networks.wn import WN
from cellprep.learn.pixel_size import ALIKE
from cellprep.learn.prediction.options import SHIPPED
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import BEST, BUNDLE, FINE_TUNED, Weights, load_all_weights, save_all_weights
from cellprep.text.wording import count, described, printable

#: What makes up instances: a network that tells where cells are, and from images and masks to energy a single one, or
#: two in a row; of these the first one alone tells vectors.
SEMANTIC, END_TO_END, IN_A_ROW = SEMSEG.name, WN.name, WN.parts

# The options that the targets of a DN and of a WTN must have in common.
_SHARED = {"background_cell": "the background as a cell", "per_instance": "the distances of each instance by itself"}

_NEEDED = "predict needs a wn, or a dn and a wtn, or for vectors alone a dn"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Networks that belong together.

    Attributes
    ----------
    vectors
        A ``wn``, or a ``dn``.
    energy
        The ``wtn`` that goes on from the ``dn``; None beside a ``wn``, or where nothing but vectors is asked for.
    semseg
        The ``semseg`` that tells where cells are; None where others tell.
    more
        Further networks of the same kinds: of those of a kind, what is told is the mean.

    Raises
    ------
    UsageError
        If they do not fit each other.
    """

    vectors: Weights
    energy: Weights | None = None
    semseg: Weights | None = None
    more: tuple[Weights, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "more", tuple(self.more))
        names = [weights.settings.name for weights in self._first]
        if names not in [
            [*vectors, *mask] for vectors in ([END_TO_END], IN_A_ROW, IN_A_ROW[:1]) for mask in ([], [SEMANTIC])
        ]:
            raise UsageError(f"the weights are of {', '.join(names)}: {_NEEDED}; semseg beside them tells the mask")
        if self.semseg and self.semseg.settings.image_channels != self.channels:
            raise UsageError(
                f"the weights do not belong together: {names[0]} is for images of {self.channels} channels, semseg "
                f"of {self.semseg.settings.image_channels}"
            )
        seen, told = self.vectors.settings.classes, self.types
        if seen and self.semseg and seen != told:
            what = f"the classes {', '.join(map(printable, told))}" if told else "no classes"
            raise UsageError(
                f"the weights do not belong together: {names[0]} has the classes {', '.join(map(printable, seen))}, "
                f"and semseg has {what}"
            )
        for name, what in _SHARED.items():
            if self.energy and getattr(self.energy.recipe, name) != getattr(self.vectors.recipe, name):
                raise UsageError(f"the weights do not belong together: only one of dn and wtn takes {what}")
        if len(sizes := {part.recipe.shrink: part.settings.name for part in self._first}) > 1:
            (by, name), (other, second) = sizes.items()
            raise UsageError(
                f"the weights do not belong together: {name} learned from images at 1/{by} of their size, {second} at "
                f"1/{other}"
            )
        for further in self.more:
            self._compare(further)

    def _compare(self, other: Weights) -> None:
        """Refuse a further network that does not see and answer what the first one of its kind does."""
        name = other.settings.name
        first = next((weights for weights in self._first if weights.settings.name == name), None)
        if first is None:
            raise UsageError(f"there is a further {name} and no first one: {_NEEDED}")
        kind = first.settings.kind
        names = [its for its in kind.depends_on if its not in ("arch", "base_channels")]
        facts = [
            [
                part.mask,
                *(getattr(part.settings, its) for its in names),
                *(getattr(part.recipe, its) for its in (*_SHARED, "shrink")),
            ]
            for part in (first, other)
        ]
        if facts[0] != facts[1]:
            raise UsageError(
                f"two {name} of the weights do not belong together: their channels, classes, masks, levels or recipes "
                "differ"
            )

    def __repr__(self) -> str:
        names = ", ".join(self.names)
        decoder = f", decoded by {self.decoding.decoder}" if self.tells_instances else ""
        return f"<Bundle of {names}: {count(self.channels, 'channel')}{decoder}>"

    @property
    def _first(self) -> list[Weights]:
        return [weights for weights in (self.vectors, self.energy, self.semseg) if weights]

    @property
    def parts(self) -> list[Weights]:
        """All of them, those of a kind one after the other."""
        return [weights for first in self._first for weights in self.alike(first)]

    @property
    def names(self) -> list[str]:
        """The networks in words, such as ``2 semseg``."""
        several = [(len(self.alike(first)), first.settings.name) for first in self._first]
        return [f"{number} {name}" if number > 1 else name for number, name in several]

    def alike(self, first: Weights | None) -> list[Weights]:
        """Return the networks of a kind, of which one is given; nothing of none."""
        others = [weights for weights in self.more if first and weights.settings.name == first.settings.name]
        return [first, *others] if first else []

    @property
    def tells_instances(self) -> bool:
        """Whether instances follow from them; from a ``dn`` alone nothing but vectors does."""
        return self.energy is not None or self.vectors.settings.name == END_TO_END

    @property
    def decoding(self) -> Decoding:
        """How their energy is decoded."""
        return (self.energy or self.vectors).decoding

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the classes of cells that they tell apart; none if they tell none."""
        return self.semseg.settings.classes if self.semseg else ()

    @property
    def appearance(self) -> AppearanceRange | None:
        """How the cells looked that they learned from, those of ``semseg`` first; None if no file says so."""
        return (self.semseg and self.semseg.appearance) or self.vectors.appearance

    @property
    def pixel_size(self) -> float | None:
        """The side of a pixel that they learned from, in micrometres; None if no file says so, or they differ."""
        sizes = [weights.pixel_size for weights in self.parts if weights.pixel_size]
        return sizes[0] if sizes and max(sizes) <= (1 + ALIKE) * min(sizes) else None

    @property
    def shrink(self) -> int:
        """N, if the images that they learned from were stored at 1/N of their size."""
        return self.vectors.recipe.shrink

    @property
    def diameter(self) -> float | None:
        """The median diameter of the cells that they learned from, in pixels as they saw them; None if it is unknown.

        Of older weights, which know only what is usual, the middle of that on a scale of ratios.
        """
        return self.appearance.middle_diameter if self.appearance else None

    @property
    def channels(self) -> int:
        """Number of channels of the images that they are for."""
        return self.vectors.settings.image_channels


def as_bundle(parts: Iterable[Weights]) -> Bundle:
    """Put weights together, in any order; of several of a kind, the first one says how energy is decoded.

    Raises
    ------
    UsageError
        If there are too few, or they do not fit each other.
    """
    by_name: dict[str, Weights] = {}
    more = []
    for weights in parts:
        if by_name.setdefault(weights.settings.name, weights) is not weights:
            more.append(weights)
    first, second = IN_A_ROW
    vectors = by_name.get(END_TO_END) or by_name.get(first)
    if vectors is None or (END_TO_END in by_name and by_name.keys() & set(IN_A_ROW)):
        raise UsageError(f"the weights are of {', '.join(by_name) or 'nothing'}: {_NEEDED}")
    return Bundle(vectors, by_name.get(second), by_name.get(SEMANTIC), tuple(more))


def load_bundle(weights: Path | str | Iterable[Path | str], semseg: Path | str | None = None) -> Bundle:
    """Load weights that belong together.

    Parameters
    ----------
    weights
        Files that `cellprep train` or `cellprep bundle` wrote, folders of trainings, folders of such folders, or names
        in `SHIPPED`.
    semseg
        A file with the ``semseg`` that counts, whatever the others hold, or a folder with several.

    Raises
    ------
    WeightsError
        If a file cannot be read.
    UsageError
        If they are not those of one prediction.
    """
    places = [weights] if isinstance(weights, (str, Path)) or not isinstance(weights, Iterable) else [*weights]
    if not all(isinstance(place, (str, Path)) for place in places):
        raise UsageError(f"weights must be a name, or one or several paths, not {described(weights)}")
    bundle = as_bundle(part for place in places for file in find_weights(place) for part in load_all_weights(file))
    if semseg is None:
        return bundle
    found = [part for file in find_weights(semseg) for part in load_all_weights(file)]
    if {part.settings.name for part in found} != {SEMANTIC}:
        names = ", ".join(part.settings.name for part in found)
        raise UsageError(f"{semseg} holds weights of {names}: semseg weights are of a semseg alone")
    others = [part for part in bundle.more if part.settings.name != SEMANTIC]
    return replace(bundle, semseg=found[0], more=(*others, *found[1:]))


def with_decoding(bundle: Bundle, decoding: Decoding) -> Bundle:
    """Return the bundle with another way of decoding."""
    if bundle.energy:
        return replace(bundle, energy=replace(bundle.energy, decoding=decoding))
    return replace(bundle, vectors=replace(bundle.vectors, decoding=decoding))


def save_bundle(path: Path | str, bundle: Bundle, *, half: bool = False) -> None:
    """Write weights that belong together into one file, whole or not at all.

    Parameters
    ----------
    path
        The file.
    bundle
        The weights.
    half
        Whether all but variances is written as float16: half the bytes, 3 digits. What is used is float32 again.

    Raises
    ------
    WeightsError
        If a weight is not finite, or too large for float16.
    OutputError
        If the file cannot be written.
    """
    save_all_weights(path, bundle.parts, half=half)


def find_weights(place: Path | str) -> list[Path]:
    """Return the files or folders of runs that weights are named by; a path is what it is, as is ``./nuclei``.

    A folder that is no run but holds some stands for them.

    Raises
    ------
    WeightsError
        If there is nothing of a mere name.
    """
    if isinstance(place, str) and place in SHIPPED:
        return [SHIPPED[place]]
    path = Path(place)
    if isinstance(place, str) and path.name == place and not path.exists():
        shipped = (
            f"what comes with the package is {', '.join(SHIPPED)}" if SHIPPED else "nothing comes with the package"
        )
        raise WeightsError(f"there are no weights {place}: there is no such file, and {shipped}")
    for bundle in (path / BUNDLE, path / FINE_TUNED):
        if bundle.exists():
            return [bundle]
    return [path] if (path / BEST).exists() else runs_in(path) or [path]


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of trainings in a folder, by name."""
    return sorted(file.parent for file in folder.glob(f"*/{BEST}"))
