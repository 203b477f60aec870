"""Distances of each instance, plain and signed, compared with edt, which is compiled."""

from typing import Any

from numpy.typing import NDArray

from cellprep.core.targets.instance_distance import instance_distance

PACKAGE = "edt"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"plain": instance_distance(labels), "signed": instance_distance(labels, signed=True)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as edt makes them."""
    import edt

    return {"plain": edt.edt(labels, parallel=1), "signed": edt.sdf(labels, parallel=1)}
