"""The base of all decoders: the values of its options, and a call that decodes maps by them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from numbers import Integral, Real
from typing import Any, Self

from cellprep.core.decode.components import Labels
from cellprep.core.decode.maps import Maps
from cellprep.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Option:
    """A number by which a decoder is tuned.

    Attributes
    ----------
    help
        What it is.
    least, most
        The range of its values.
    whole, odd
        Whether these are whole numbers, and odd ones.
    tried
        The values that tuning tries.
    """

    help: str
    least: float
    most: float
    whole: bool
    odd: bool
    tried: tuple[float, ...] = ()

    @property
    def right(self) -> str:
        """The values that it takes, in words."""
        kind = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g} " + ("on" if self.most == inf else f"to {self.most:g}")

    def takes(self, value: object) -> bool:
        """Return whether it can have a value."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value
        fits = self.least <= number <= self.most and number != inf  # of NaN not
        return bool(fits) and not (self.odd and number % 2 == 0)


def option(
    default: float,
    help: str,  # noqa: A002
    least: float,
    most: float = inf,
    *,
    odd: bool = False,
    tried: tuple[float, ...] = (),
) -> Any:
    """Declare an option as a field of a `Decoder`; whole numbers have a whole default."""
    return field(default=default, metadata={"option": Option(help, least, most, isinstance(default, int), odd, tried)})


@dataclass(frozen=True, slots=True)
class Decoder(ABC):
    """Base of all decoders. A subclass is a frozen dataclass whose fields are its options, and decodes when called.

    Raises
    ------
    RecipeError
        If an option has a value that it cannot have.
    """

    def __post_init__(self) -> None:
        for name, known in self.options().items():
            value = getattr(self, name)
            if not known.takes(value):
                raise RecipeError(f"decoder option {name} is {value!r}: give {known.right}")
            object.__setattr__(self, name, int(value) if known.whole else float(value))  # NumPy's numbers are no JSON

    @abstractmethod
    def __call__(self, maps: Maps) -> Labels:
        """Return (H, W) int32: 0 = background, instances in any numbers."""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return its options by name."""
        return {its.name: its.metadata["option"] for its in fields(cls)}

    @classmethod
    def defaults(cls) -> dict[str, float]:
        """Return the value that each option has unless given."""
        made = cls()
        return {name: getattr(made, name) for name in cls.options()}

    @classmethod
    def tuned(cls, name: str, values: Mapping[str, float]) -> Self:
        """Return the decoder of this name with some of its options given.

        Raises
        ------
        RecipeError
            If it has no such option, or the option no such value.
        """
        known = cls.options()
        for unknown in (its for its in values if its not in known):
            raise RecipeError(f"decoder {name} has no option {unknown!r}: its options are {', '.join(known)}")
        return cls(**values)
