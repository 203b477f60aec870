"""Families of targets: the arrays that one segmentation method learns from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from cellprep.core.tuning import Tuned
from cellprep.errors import RecipeError
from cellprep.text.wording import described, did_you_mean


@dataclass(frozen=True, slots=True)
class Family(Tuned):
    """Base class of families. A subclass is a frozen dataclass whose fields are the family's own options.

    Functions that compute targets get them from the recipe: ``recipe.of(StarDist).rays``.

    Attributes
    ----------
    name
        Name by which it is selected.
    title
        Name of the method.
    about
        One sentence, in Markdown, about its targets and the networks that learn them.
    credit
        Origin of the method, recorded in stores.
    targets
        Targets of the family. Each may depend on those before it, but not on other families.

    Raises
    ------
    RecipeError
        If an option has an invalid value.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    credit: ClassVar[str]
    targets: ClassVar[tuple[Any, ...]]  # of Target, whose module imports recipes, which import families

    tuned_kind = "target"

    def __str__(self) -> str:
        """Return the family as in the option ``--targets``, with options that differ from their defaults.

        Examples
        --------
        >>> from cellprep import Recipe
        >>> str(Recipe().targets[0])
        'dwt'
        """
        usual = self.defaults()
        chosen = {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
        return ":".join([self.name, *(f"{name}={str(value).lower()}" for name, value in chosen.items())])

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the cells decoded from the targets of an image: (H, W) integers, 0 = background.

        Families without a decoder do not override this method.
        """
        raise NotImplementedError

    @classmethod
    def decodes(cls) -> bool:
        """Return whether it has a decoder of its own."""
        return cls.decode is not Family.decode


#: The families by name, in the order in which their targets are computed and stored. To add one, add a file and a
#: line in `cellprep.core.targets`.
FAMILIES: dict[str, type[Family]] = {}


def find_families(given: Any) -> tuple[Family, ...]:
    """Return families with their options, in the order of `FAMILIES`.

    Parameters
    ----------
    given
        Names separated by commas, with options after colons; a list of such texts or families; or options by family.

    Raises
    ------
    RecipeError
        If the family or an option is unknown, or an option has an invalid value.

    Examples
    --------
    >>> [str(family) for family in find_families("dwt")]
    ['dwt']
    >>> find_families({"dwt": {}}) == find_families(["dwt"])
    True
    >>> find_families("dtw")
    Traceback (most recent call last):
    cellprep.errors.RecipeError: targets 'dtw' are unknown: did you mean dwt?
    """
    found: dict[str, Family] = {}
    for family in read_families(given):
        if family.name in found:
            raise RecipeError(f"targets {family.name} are given twice: give them once")
        found[family.name] = family
    if not found:
        raise RecipeError(f"no targets are given: choose from {', '.join(FAMILIES)}")
    return tuple(found[name] for name in FAMILIES if name in found)


def read_families(given: Any) -> Iterator[Family]:
    """Yield families with the given options; parameters and errors are those of `find_families`."""
    if isinstance(given, Mapping):
        for name, options in given.items():
            if not isinstance(options, Mapping):
                raise RecipeError(f"options of targets {name} are {described(options)}: give values by name")
            yield _kind(name).tuned(name, options)
        return
    if not isinstance(given, Iterable):
        raise RecipeError(f"targets are {described(given)}: give names, such as {', '.join(FAMILIES)}")
    for one in [given] if isinstance(given, str) else given:
        if isinstance(one, Family):
            yield one
        else:
            yield from map(_parsed, one.split(",") if isinstance(one, str) else [one])


def _parsed(text: Any) -> Family:
    name, *options = text.strip().split(":") if isinstance(text, str) else [text]
    kind, values = _kind(name), {}
    for each in options:
        key, _, value = each.partition("=")
        if key in values:
            raise RecipeError(f"target option {key} of {name} is given twice: give it once")
        try:
            values[key] = kind.options()[key].parsed(value) if key in kind.options() else value
        except ValueError:
            values[key] = value
    return kind.tuned(name, values)


def _kind(name: Any) -> type[Family]:
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    advice = did_you_mean(name, FAMILIES) if isinstance(name, str) else ""
    raise RecipeError(f"targets {name!r} are unknown: {advice or 'use ' + ', '.join(FAMILIES)}")
