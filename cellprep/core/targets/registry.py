"""The targets of all families by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from cellprep.core.targets.family import FAMILIES
from cellprep.core.targets.target import Target


class _Targets(Mapping[str, Target]):
    """The targets of all families, by name."""

    # The targets of each family, and all of them by name: one tuple, so that threads never see half of a change.
    _cache: ClassVar[tuple[list[tuple[Target, ...]], dict[str, Target]]] = [], {}

    def __getitem__(self, name: str) -> Target:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Target]:
        of, known = self._cache
        if (now := [family.targets for family in FAMILIES.values()]) != of:  # a family was registered
            known = {target.name: target for targets in now for target in targets}
            _Targets._cache = now, known
        return known


#: The targets of all families by name, in the order of computation and storage.
TARGETS = _Targets()


def families_of(names: Iterable[str]) -> list[str]:
    """Return the names of the families of the given targets."""
    wanted = set(names)
    return [name for name, family in FAMILIES.items() if wanted & {target.name for target in family.targets}]
