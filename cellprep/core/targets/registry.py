"""The targets of all families by name."""

from collections.abc import Iterable, Iterator, Mapping

from cellprep.core.targets.family import FAMILIES
from cellprep.core.targets.target import Target


class _Targets(Mapping[str, Target]):
    """The targets of all families, by name."""

    def __getitem__(self, name: str) -> Target:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @staticmethod
    def _all() -> dict[str, Target]:
        return {target.name: target for family in FAMILIES.values() for target in family.targets}


#: The targets of all families by name, in the order of computation and storage.
TARGETS = _Targets()


def families_of(names: Iterable[str]) -> list[str]:
    """Return the names of the families of the given targets."""
    wanted = set(names)
    return [name for name, family in FAMILIES.items() if wanted & {target.name for target in family.targets}]
