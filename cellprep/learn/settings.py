"""Settings of networks for the command line, available without torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from cellprep.core.decode import DECODERS, DEFAULT_DECODER, find_decoder, parse_options
from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings  # noqa: F401 - its former module
from cellprep.system.options import Option
from cellprep.text.wording import described

#: Defaults for fine-tuning: the highest learning rate, the epochs, and the least number of crops in an epoch; chosen by
#: small experiments (docs/finetuning.md).
FINE_TUNING_RATE, FINE_TUNING_EPOCHS, FINE_TUNING_SAMPLES = 1e-3, 20, 64

#: The highest learning rate of a network whose parts were trained separately, as in the notes of qAp.
END_TO_END_RATE = 1e-4

#: Devices for networks; ``auto`` uses CUDA if available, otherwise MPS, otherwise the CPU.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Precisions of networks, with a description of each.
PRECISIONS = {
    "auto": "bfloat16 where the processor supports it natively, otherwise float32",
    "float32": "the same results everywhere, except for rounding",
    "bfloat16": "half the memory, but only 3 digits: pixels between two levels may change",
}

Device = Annotated[str, Option("Device for the networks; auto uses a GPU if there is one", DEVICES, group="Run")]
Precision = Annotated[
    str,
    Option("Precision of the networks; auto is bfloat16 where the processor supports it", PRECISIONS, group="Run"),
]
Decoder = Annotated[str | None, Option("Decoder; by default that of the weights", DECODERS, group="Decoding")]
MinArea = Annotated[
    int | None,
    Option(
        "Minimum area of an instance, in pixels; by default that of the weights.",
        aliases=("--min-size",),
        group="Decoding",
    ),
]


@dataclass(frozen=True, slots=True)
class Decoding:
    """The decoding of predicted maps into instances.

    Attributes
    ----------
    decoder
        A name in `cellprep.DECODERS`.
    min_area
        Minimum number of pixels of an instance; smaller ones are removed.
    options
        Values of the decoder's options by name; the others keep their defaults.
    by_class
        Decoding of instances of single classes, by class name; other classes are decoded as above.

    Raises
    ------
    CellprepError
        If a value is not valid.

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
            raise UsageError(f"the minimum area is {self.min_area}: give 0 or more pixels")
        if any(of_class.by_class for of_class in self.by_class.values()):
            raise UsageError("the decoding of a class contains classes itself: give only one level")

    def changed(
        self,
        decoder: str | None = None,
        min_area: int | None = None,
        options: Mapping[str, float] | None = None,
        by_class: "Mapping[str, OfClass] | None" = None,
    ) -> "Decoding":
        """Return a copy with the given values.

        If the decoder stays the same, other options keep their values; if it changes, they are reset. Values without a
        class also apply to classes with their own decoding; options without a decoder only if these use the same
        decoder. `by_class` takes precedence; for a class without its own decoding, it changes the general one.

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
        """Return the decoding of instances of a class."""
        return self.by_class.get(name) or replace(self, by_class={})

    @property
    def key(self) -> tuple[str, int, tuple[tuple[str, float], ...]]:
        """The decoder, the minimum area and all options, equal for equal decodings; without those of classes."""
        defaults = DECODERS[self.decoder].defaults()
        return self.decoder, self.min_area, tuple(sorted({**defaults, **self.options}.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, without empty ones."""
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
    """Changes to the decoding of a class: None for what does not change.

    Attributes
    ----------
    decoder, min_area, options
        As in `Decoding`.
    """

    decoder: str | None = None
    min_area: int | None = None
    options: Mapping[str, float] = field(default_factory=dict)


def parse_by_class(texts: Iterable[str]) -> dict[str, OfClass]:
    """Parse decodings of single classes from strings such as ``neuron:min_area=40``.

    `Decoding.changed` checks whether the values are valid.

    Raises
    ------
    UsageError
        If a string is not a class, name and value, or a value is given twice.

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
                f"{text!r} is not a class, option and value: give CLASS:OPTION=VALUE, such as neuron:min_area=40; "
                "options are decoder, min_area and those of the decoder"
            )
        if option in given.setdefault(name, {}):
            raise UsageError(f"{option} of class {name} is given twice: give it once")
        given[name][option] = value
    return of_classes(given)


def of_classes(given: Mapping[str, Any]) -> dict[str, OfClass]:
    """Return decodings of single classes, given as `OfClass` objects, or as values by name or as typed strings.

    Raises
    ------
    UsageError
        If a value is invalid.

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
        raise UsageError(f"the minimum area of class {name} is {area}: give 0 or more pixels")
    decoder = values.pop("decoder", None)
    options = parse_options(f"{option}={value}" for option, value in values.items())
    return OfClass(decoder, None if area is None else int(area), options)


ByClass = Annotated[
    Mapping[str, OfClass],
    Option(
        "Decoding of the instances of a class, such as neuron:min_area=40 or neuron:decoder=tops; repeatable. Options "
        "are decoder, min_area and those of the decoder; others are as for all classes.",
        flags=("--per-class",),
        metavar="CLASS:OPTION=VALUE",
        group="Decoding",
        parse=parse_by_class,
    ),
]
