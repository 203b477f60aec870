"""Settings of networks that the command line offers: known without torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from cellprep.core.decode import DECODERS, DEFAULT_DECODER, find_decoder, parse_options
from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings  # noqa: F401 - the place that it had before
from cellprep.system.options import Option
from cellprep.text.wording import described

#: How weights that are given are trained on: the highest learning rate, the epochs, and the crops that an epoch of few
#: images has at least; chosen by small experiments (docs/finetuning.md).
FINE_TUNING_RATE, FINE_TUNING_EPOCHS, FINE_TUNING_SAMPLES = 1e-3, 20, 64

#: The highest learning rate of a network of several that were trained on their own, as in the notes of qAp.
END_TO_END_RATE = 1e-4

#: Where networks run; the first takes CUDA where there is one, else MPS, else the CPU.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: What networks compute in, and what each does.
PRECISIONS = {
    "auto": "bfloat16 where the processor has it built in, else float32",
    "float32": "the same results everywhere, but for rounding",
    "bfloat16": "half the bytes, and 3 digits: pixels at the limit of two levels may change",
}

Device = Annotated[str, Option("Where networks run; auto takes a GPU where there is one", DEVICES, group="Run")]
Precision = Annotated[
    str,
    Option("What networks compute in; auto is bfloat16 where the processor has it built in", PRECISIONS, group="Run"),
]
Decoder = Annotated[
    str | None, Option("Decoder; the one that the weights name unless given", DECODERS, group="Decoding")
]
MinArea = Annotated[
    int | None,
    Option(
        "Least area of an instance, in pixels; what the weights say unless given.",
        aliases=("--min-size",),
        group="Decoding",
    ),
]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How what networks tell becomes instances.

    Attributes
    ----------
    decoder
        A name in `cellprep.DECODERS`.
    min_area
        Pixels that an instance has at least; smaller ones are left out.
    options
        Values of the decoder's options by name; the others keep their defaults.
    by_class
        How instances of single classes are decoded, by the names of these; those of other classes as above.

    Raises
    ------
    CellprepError
        If a value is none that it can have.

    Examples
    --------
    >>> Decoding("tops", options={"depth": 2}).options
    {'depth': 2}
    """

    decoder: str = DEFAULT_DECODER
    min_area: int = 20
    options: Mapping[str, int | float] = field(default_factory=dict)
    by_class: Mapping[str, "Decoding"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        find_decoder(self.decoder, self.options)
        if self.min_area < 0:
            raise UsageError(f"minimal area {self.min_area} is not possible: give 0 or more pixels")
        if any(of_class.by_class for of_class in self.by_class.values()):
            raise UsageError("the decoding of a class has classes itself: give one level of them")

    def changed(
        self,
        decoder: str | None = None,
        min_area: int | None = None,
        options: Mapping[str, float] | None = None,
        by_class: "Mapping[str, OfClass] | None" = None,
    ) -> "Decoding":
        """Return it with what is given in place of its own.

        Options of the same decoder that are not named stay; those of another one go with it. What is given without a
        class counts for those that have their own decoding, too; options without a decoder only where it is the same
        decoder. `by_class` goes before: of a class that has no decoding of its own, it changes the one without a class.

        Examples
        --------
        >>> usual = Decoding("tops", options={"depth": 2})
        >>> usual.changed(options={"ratio": 0.5}).options
        {'depth': 2, 'ratio': 0.5}
        >>> usual.changed("walls").options
        {}
        >>> usual.changed(by_class={"round": OfClass(min_area=5)}).by_class["round"]
        Decoding(decoder='tops', min_area=5, options={'depth': 2}, by_class={})
        """
        own = self.options if decoder in (None, self.decoder) else {}
        changed = Decoding(
            self.decoder if decoder is None else decoder,
            self.min_area if min_area is None else min_area,
            {**own, **(options or {})},
        )
        of_class = {
            name: one.changed(decoder, min_area, options if decoder or one.decoder == self.decoder else None)
            for name, one in self.by_class.items()
        }
        for name, given in (by_class or {}).items():
            of_class[name] = of_class.get(name, changed).changed(given.decoder, given.min_area, given.options)
        return replace(changed, by_class=dict(sorted(of_class.items())))

    def of(self, name: str) -> "Decoding":
        """Return how instances of a class are decoded."""
        return self.by_class.get(name) or replace(self, by_class={})

    @property
    def key(self) -> tuple[str, int, tuple[tuple[str, float], ...]]:
        """The decoder, the least area and all its options, so that equal ways have equal keys; classes apart."""
        defaults = DECODERS[self.decoder].defaults()
        return self.decoder, self.min_area, tuple(sorted({**defaults, **self.options}.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, without what is empty."""
        options = {"options": dict(self.options)} if self.options else {}
        by_class = {name: of_class.to_dict() for name, of_class in self.by_class.items()}
        return {
            "decoder": self.decoder,
            "min_area": self.min_area,
            **options,
            **({"by_class": by_class} if by_class else {}),
        }


@dataclass(frozen=True, slots=True)
class OfClass:
    """What of the decoding of a class differs from what it was: None where nothing does.

    Attributes
    ----------
    decoder, min_area, options
        As `Decoding` has them.
    """

    decoder: str | None = None
    min_area: int | None = None
    options: Mapping[str, float] = field(default_factory=dict)


def parse_by_class(texts: Iterable[str]) -> dict[str, OfClass]:
    """Read how instances of single classes are decoded, from texts such as ``neuron:min_area=40``.

    `Decoding.changed` tells whether the values are possible.

    Raises
    ------
    UsageError
        If a text is no class, name and value, or a value is given twice.

    Examples
    --------
    >>> parse_by_class(["neuron:decoder=tops", "neuron:depth=2", "astro:min_area=40"])["neuron"]
    OfClass(decoder='tops', min_area=None, options={'depth': 2})
    """
    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        left, equals, value = text.rpartition("=")
        name, colon, option = left.rpartition(":")
        if not (equals and colon and name and option and value):
            raise UsageError(
                f"{text!r} is no class, option and value: give CLASS:OPTION=VALUE, as neuron:min_area=40; options are "
                "decoder, min_area and those of the decoder"
            )
        if option in given.setdefault(name, {}):
            raise UsageError(f"{option} of class {name} is given twice: give it once")
        given[name][option] = value
    return of_classes(given)


def of_classes(given: Mapping[str, Any]) -> dict[str, OfClass]:
    """Return how instances of single classes are decoded: an `OfClass` each, or values by name, as they are typed.

    Raises
    ------
    UsageError
        If a value is impossible.

    Examples
    --------
    >>> of_classes({"neuron": {"min_area": 40, "depth": 2}})
    {'neuron': OfClass(decoder=None, min_area=40, options={'depth': 2})}
    """
    return {name: its if isinstance(its, OfClass) else _of_class(name, its) for name, its in given.items()}


def _of_class(name: str, given: Any) -> OfClass:
    if not isinstance(given, Mapping):
        raise UsageError(f"the decoding of class {name} is {described(given)}: give values by name")
    values = {option: str(value) for option, value in given.items()}
    area = values.pop("min_area", None)
    if area is not None and not area.isdecimal():
        raise UsageError(f"minimal area {area} of class {name} is not possible: give 0 or more pixels")
    decoder = values.pop("decoder", None)
    options = parse_options(f"{option}={value}" for option, value in values.items())
    return OfClass(decoder, None if area is None else int(area), options)


ByClass = Annotated[
    Mapping[str, OfClass],
    Option(
        "How instances of a class are decoded, repeatable: as neuron:min_area=40 or neuron:decoder=tops. Options are "
        "decoder, min_area and those of the decoder; what is not named is as for all classes.",
        flags=("--per-class",),
        metavar="CLASS:OPTION=VALUE",
        group="Decoding",
        parse=parse_by_class,
    ),
]
