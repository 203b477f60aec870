"""Bundles of weights: all networks for predicting the instances of an image."""

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

#: The networks for instances: one for masks, and one from images and masks to energy, or two in sequence, the first of
#: which predicts vectors.
SEMANTIC, END_TO_END, IN_A_ROW = SEMSEG.name, WN.name, WN.parts

# The options in which the targets of a DN and of a WTN must agree.
_SHARED = {"background_cell": "the background as a cell", "per_instance": "distances within each instance"}

_NEEDED = "predict needs a wn, or a dn and a wtn, or a dn for vectors only"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Networks that belong together.

    Attributes
    ----------
    vectors
        A ``wn``, or a ``dn``.
    energy
        The ``wtn`` that follows the ``dn``; None with a ``wn``, or if only vectors are predicted.
    semseg
        The ``semseg`` that predicts masks; None if masks are given.
    more
        Further networks of the same kinds: the predictions of each kind are averaged.

    Raises
    ------
    UsageError
        If they do not match each other.
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
            raise UsageError(f"the weights are of {', '.join(names)}: {_NEEDED}; semseg only predicts masks")
        if self.semseg and self.semseg.settings.image_channels != self.channels:
            raise UsageError(
                f"the weights do not match: {names[0]} is for images with {self.channels} channels, semseg for "
                f"{self.semseg.settings.image_channels}"
            )
        seen, told = self.vectors.settings.classes, self.types
        if seen and self.semseg and seen != told:
            what = f"the classes {', '.join(map(printable, told))}" if told else "no classes"
            raise UsageError(
                f"the weights do not match: {names[0]} has the classes {', '.join(map(printable, seen))}, "
                f"but semseg has {what}"
            )
        for name, what in _SHARED.items():
            if self.energy and getattr(self.energy.recipe, name) != getattr(self.vectors.recipe, name):
                raise UsageError(f"the weights do not match: only one of dn and wtn uses {what}")
        if len(sizes := {part.recipe.shrink: part.settings.name for part in self._first}) > 1:
            ones = [f"{name} at {f'1/{by} of their' if by > 1 else 'full'} size" for by, name in sizes.items()]
            raise UsageError(f"the weights do not match: they were trained on images of other sizes: {', '.join(ones)}")
        for further in self.more:
            self._compare(further)

    def _compare(self, other: Weights) -> None:
        """Refuse a further network whose inputs and outputs are not those of the first of its kind."""
        name = other.settings.name
        first = next((weights for weights in self._first if weights.settings.name == name), None)
        if first is None:
            raise UsageError(f"there is a further {name}, but no first one: {_NEEDED}")
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
                f"two {name} of the weights do not match: their channels, classes, masks, levels or recipes differ"
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
        """All networks, grouped by kind."""
        return [weights for first in self._first for weights in self.alike(first)]

    @property
    def names(self) -> list[str]:
        """Descriptions of the networks, such as ``2 semseg``."""
        several = [(len(self.alike(first)), first.settings.name) for first in self._first]
        return [f"{number} {name}" if number > 1 else name for number, name in several]

    def alike(self, first: Weights | None) -> list[Weights]:
        """Return all networks of the kind of a given one; an empty list for None."""
        others = [weights for weights in self.more if first and weights.settings.name == first.settings.name]
        return [first, *others] if first else []

    @property
    def tells_instances(self) -> bool:
        """True if they predict instances; a ``dn`` alone only predicts vectors."""
        return self.energy is not None or self.vectors.settings.name == END_TO_END

    @property
    def decoding(self) -> Decoding:
        """The decoding of their energy."""
        return (self.energy or self.vectors).decoding

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the classes of cells that they predict; empty if there are none."""
        return self.semseg.settings.classes if self.semseg else ()

    @property
    def appearance(self) -> AppearanceRange | None:
        """Appearance of the training cells, preferably those of ``semseg``; None if no file contains it."""
        return (self.semseg and self.semseg.appearance) or self.vectors.appearance

    @property
    def pixel_size(self) -> float | None:
        """Side of the training images' pixels, in micrometres; None if no file contains it, or if they differ."""
        sizes = [weights.pixel_size for weights in self.parts if weights.pixel_size]
        return sizes[0] if sizes and max(sizes) <= (1 + ALIKE) * min(sizes) else None

    @property
    def shrink(self) -> int:
        """N if the training images were stored at 1/N of their size."""
        return self.vectors.recipe.shrink

    @property
    def diameter(self) -> float | None:
        """Median diameter of the training cells, in pixels as the networks saw them; None if it is unknown.

        For older weights, which only have the usual range, its geometric mean.
        """
        return self.appearance.middle_diameter if self.appearance else None

    @property
    def channels(self) -> int:
        """Number of channels of their images."""
        return self.vectors.settings.image_channels


def as_bundle(parts: Iterable[Weights]) -> Bundle:
    """Make a bundle of weights in any order; of several of a kind, the first determines the decoding.

    Raises
    ------
    UsageError
        If there are too few, or they do not match each other.
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
    """Load a bundle of weights.

    Parameters
    ----------
    weights
        Files from `cellprep train` or `cellprep bundle`, folders of runs, folders of such folders, or names in
        `SHIPPED`.
    semseg
        A file with the ``semseg`` that replaces those in `weights`, or a folder with several.

    Raises
    ------
    WeightsError
        If a file cannot be read.
    UsageError
        If they do not make a bundle.
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
        raise UsageError(f"{semseg} contains weights of {names}: semseg weights must contain semseg networks only")
    others = [part for part in bundle.more if part.settings.name != SEMANTIC]
    return replace(bundle, semseg=found[0], more=(*others, *found[1:]))


def with_decoding(bundle: Bundle, decoding: Decoding) -> Bundle:
    """Return the bundle with another decoding."""
    if bundle.energy:
        return replace(bundle, energy=replace(bundle.energy, decoding=decoding))
    return replace(bundle, vectors=replace(bundle.vectors, decoding=decoding))


def save_bundle(path: Path | str, bundle: Bundle, *, half: bool = False) -> None:
    """Write a bundle of weights to one file, completely or not at all.

    Parameters
    ----------
    path
        The file.
    bundle
        The weights.
    half
        Whether to write float16, except for variances: half the bytes, 3 digits. Loaded weights are float32 again.

    Raises
    ------
    WeightsError
        If a weight is not finite, or too large for float16.
    OutputError
        If the file cannot be written.
    """
    save_all_weights(path, bundle.parts, half=half)


def find_weights(place: Path | str) -> list[Path]:
    """Return the files or folders of runs for a name of weights or a path, such as ``nuclei`` or ``./nuclei``.

    A folder that is not a run, but contains runs, stands for all of them.

    Raises
    ------
    WeightsError
        If there are no weights with a plain name.
    """
    if isinstance(place, str) and place in SHIPPED:
        return [SHIPPED[place]]
    path = Path(place)
    if isinstance(place, str) and path.name == place and not path.exists():
        shipped = f"the bundled weights are {', '.join(SHIPPED)}" if SHIPPED else "there are no bundled weights"
        raise WeightsError(f"there are no weights {place}: there is no such file, and {shipped}")
    for bundle in (path / BUNDLE, path / FINE_TUNED):
        if bundle.exists():
            return [bundle]
    return [path] if (path / BEST).exists() else runs_in(path) or [path]


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of runs in a folder, sorted by name."""
    return sorted(file.parent for file in folder.glob(f"*/{BEST}"))
