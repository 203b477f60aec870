"""Settings of networks that the command line offers: known without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from cellprep.core.decode import DECODERS, DEFAULT_DECODER, find_decoder
from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings  # noqa: F401 - the place that it had before
from cellprep.system.options import Option

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

    Raises
    ------
    CellprepError
        If a value is none that it can have.

    Examples
    --------
    >>> Decoding("tops", options={"depth": 2})
    Decoding(decoder='tops', min_area=20, options={'depth': 2})
    """

    decoder: str = DEFAULT_DECODER
    min_area: int = 20
    options: Mapping[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        find_decoder(self.decoder, self.options)
        if self.min_area < 0:
            raise UsageError(f"minimal area {self.min_area} is not possible: give 0 or more pixels")

    def changed(
        self, decoder: str | None = None, min_area: int | None = None, options: Mapping[str, float] | None = None
    ) -> "Decoding":
        """Return it with what is given in place of its own.

        Options of the same decoder that are not named stay; those of another one go with it.

        Examples
        --------
        >>> Decoding("tops", options={"depth": 2}).changed(options={"ratio": 0.5}).options
        {'depth': 2, 'ratio': 0.5}
        >>> Decoding("tops", options={"depth": 2}).changed("walls").options
        {}
        """
        own = self.options if decoder in (None, self.decoder) else {}
        return Decoding(
            self.decoder if decoder is None else decoder,
            self.min_area if min_area is None else min_area,
            {**own, **(options or {})},
        )
