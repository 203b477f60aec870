"""Objects with options: frozen dataclasses whose fields declare them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from cellprep.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Option:
    """An option: a number, one of several choices, or a value that a function parses.

    Attributes
    ----------
    help
        Description.
    least, most
        Range of values.
    whole, odd
        Whether values are integers, and odd.
    choices
        All valid values, if they are not a range.
    read
        Converts a value, or its text, to JSON types with tuples instead of lists; raises
        ValueError.
    right
        Description of valid values.
    tried
        Values that are tried in a search for the best one.
    """

    help: str
    least: float = -inf
    most: float = inf
    whole: bool = False
    odd: bool = False
    choices: tuple[Any, ...] = ()
    read: Callable[[Any], Any] | None = None
    right: str = ""
    tried: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.right:
            object.__setattr__(self, "right", self._right())

    def _right(self) -> str:
        if self.choices:
            return " or ".join(map(_typed, self.choices))
        kind = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        return f"{kind}, {self.least:g} or more" if self.most == inf else f"{kind} from {self.least:g} to {self.most:g}"

    def takes(self, value: object) -> bool:
        """Return whether a value is valid."""
        try:
            self.settled(value)
        except ValueError:
            return False
        return True

    def settled(self, value: Any) -> Any:
        """Return a value for storage, as NumPy numbers are not JSON; raises ValueError if it is invalid."""
        if self.read:
            return self.read(value)
        if self.choices:
            return self.choices[self.choices.index(value)]
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            raise ValueError(value)
        number: Any = value
        if not (self.least <= number <= self.most and number != inf) or (self.odd and number % 2 == 0):  # false for NaN
            raise ValueError(value)
        return int(number) if self.whole else float(number)

    def parsed(self, text: str) -> Any:
        """Parse the text of a value; raises ValueError if it should be a number but is not."""
        if self.read:
            return text
        if self.choices:
            return {_typed(choice): choice for choice in self.choices}.get(text, text)
        return int(text) if self.whole else float(text)


def _typed(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def option(  # noqa: PLR0913 - all are keywords
    default: Any,
    help: str,  # noqa: A002
    least: float = -inf,
    most: float = inf,
    *,
    odd: bool = False,
    choices: tuple[Any, ...] = (),
    read: Callable[[Any], Any] | None = None,
    right: str = "",
    tried: tuple[float, ...] = (),
) -> Any:
    """Declare an option as a field of `Tuned`: integers have an integer default; True or False is a choice."""
    chosen = (False, True) if isinstance(default, bool) else choices
    its = Option(help, least, most, isinstance(default, int), odd, chosen, read, right, tried)
    return field(default=default, metadata={"option": its})


@dataclass(frozen=True, slots=True)
class Tuned:
    """Base class of objects with options. A subclass is a frozen dataclass whose fields are its options.

    Raises
    ------
    RecipeError
        If an option has an invalid value.
    """

    #: Kind of object, for messages.
    tuned_kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name, known in self.options().items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, known.settled(value))
            except ValueError:
                problem = f"{self.tuned_kind} option {name} is {value!r}: give {known.right}"
                raise RecipeError(problem) from None

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return its options by name."""
        return {its.name: its.metadata["option"] for its in fields(cls)}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of each option."""
        made = cls()
        return {name: getattr(made, name) for name in cls.options()}

    @classmethod
    def tuned(cls, name: str, values: Mapping[str, Any]) -> Self:
        """Return the object of this name with the given options.

        Raises
        ------
        RecipeError
            If an option is unknown or has an invalid value.
        """
        known = cls.options()
        for unknown in (its for its in values if its not in known):
            options = f"its options are {', '.join(known)}" if known else "it has none"
            raise RecipeError(f"{cls.tuned_kind} {name} has no option {unknown!r}: {options}")
        return cls(**values)
