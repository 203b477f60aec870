"""What a network is, apart from its weights: known without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellprep.core.decode import DEFAULT_DECODER, find_decoder
from cellprep.errors import UsageError

#: The networks by name, and what each does.
NETWORKS = {
    "semseg": "image -> cell, wall, background",
    "dn": "image and mask -> unit vectors",
    "wtn": "unit vectors -> energy levels",
    "wn": "image and mask -> unit vectors and energy levels: DN and WTN, end to end",
}

#: The bodies that each network may have, the default one first.
ARCHITECTURES = {
    "semseg": ("unet",),
    "dn": ("published", "unet"),
    "wtn": ("published", "unet"),
    "wn": ("published", "unet"),
}


@dataclass(frozen=True, slots=True)
class Usual:
    """How a network of some architecture is trained by default.

    Attributes
    ----------
    base_channels
        Channels of the first layers.
    max_lr
        The highest learning rate.
    """

    base_channels: int
    max_lr: float


_UNET, _PUBLISHED = Usual(16, 3e-3), Usual(64, 1e-4)

#: What is trained by default, for each network by architecture, the default one first: what did best in equal time on
#: one core (docs/experiments.md). The published network has its published size, which is for a GPU.
TRAINED_AS = {
    "semseg": {"unet": _UNET},
    "dn": {"unet": _UNET, "published": _PUBLISHED},
    "wtn": {"unet": _UNET, "published": _PUBLISHED},
    "wn": {"unet": _UNET, "published": _PUBLISHED},
}

#: The highest learning rate from which weights that are given are trained on, as in the notes of qAp.
FINE_TUNING_RATE = 1e-4

#: Where networks run; the first takes CUDA where there is one, else MPS, else the CPU.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: What networks compute in, and what each does.
PRECISIONS = {
    "auto": "bfloat16 where the processor has it built in, else float32",
    "float32": "the same results everywhere, but for rounding",
    "bfloat16": "half the bytes, and 3 digits: pixels at the limit of two levels may change",
}


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


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """What a network is built from.

    Attributes
    ----------
    name
        A name in `NETWORKS`.
    arch
        One of the network's `ARCHITECTURES`.
    base_channels
        Channels of the first layers, which scale all the others; 64 as published.
    image_channels
        Channels of the images that it sees (not of ``wtn``).
    levels
        Energy levels (of ``wtn`` and ``wn``).
    masked
        Whether it sees, and answers for, the pixels of its input mask only. False where the background is
        a cell of its own.
    signed_mask
        Whether a network that is not ``masked`` sees the mask as one more channel, positive within and negative
        outside.

    Raises
    ------
    UsageError
        If a value is none that it can have.

    Examples
    --------
    >>> NetworkSettings("dn", base_channels=16).arch
    'published'
    """

    name: str
    arch: str = ""
    base_channels: int = 64
    image_channels: int = 1
    levels: int = 17
    masked: bool = True
    signed_mask: bool = False

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise UsageError(f"network {self.name!r} is unknown: it is one of {', '.join(NETWORKS)}")
        known = ARCHITECTURES[self.name]
        object.__setattr__(self, "arch", self.arch or known[0])
        if self.arch not in known:
            raise UsageError(f"{self.name} has no architecture {self.arch!r}: it is one of {', '.join(known)}")
        if self.masked and self.signed_mask:
            raise UsageError("a network is masked, or sees a mask of both signs: choose one")
        for name, least, most in (("base_channels", 1, 1024), ("image_channels", 1, 64), ("levels", 2, 256)):
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= most):
                words = name.replace("_", " ")
                raise UsageError(f"{words} {value!r} is not possible: give a whole number from {least} to {most}")
