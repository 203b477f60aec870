"""Borders and cores, beside acvl_utils, of which nnU-Net's authors make them. It takes stacks only: one slice."""

from typing import Any

from numpy.typing import NDArray

from cellprep.core.targets.boundary import boundary_classes

PACKAGE = "acvl_utils"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"boundary": boundary_classes(labels, "border-core")}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as acvl_utils makes them, by the faster one of its two functions."""
    from acvl_utils.instance_segmentation import instance_as_semantic_seg

    return {"boundary": instance_as_semantic_seg.convert_instanceseg_to_semantic_patched(labels[None])[0]}
