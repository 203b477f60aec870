"""The targets of all families by name."""

from collections.abc import Iterable, Iterator, Mapping

from cellprep.core.targets.family import FAMILIES
from cellprep.core.targets.target import Target


class _Targets(Mapping[str, Target]):
    """The targets of all families, by name."""

    def __init__(self) -> None:
        self._of: list[tuple[Target, ...]] = []
        self._known: dict[str, Target] = {}

    def __getitem__(self, name: str) -> Target:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Target]:
        of = [family.targets for family in FAMILIES.values()]
        if of != self._of:  # a family was registered
            self._known = {target.name: target for targets in of for target in targets}
            self._of = of
        return self._known


#: The targets of all families by name, in the order of computation and storage.
TARGETS = _Targets()


def families_of(names: Iterable[str]) -> list[str]:
    """Return the names of the families of the given targets."""
    wanted = set(names)
    return [name for name, family in FAMILIES.items() if wanted & {target.name for target in family.targets}]
