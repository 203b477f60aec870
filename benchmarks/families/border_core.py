"""Borders and cores compared with acvl_utils by nnU-Net's authors, which only takes stacks: here, of one slice."""

from typing import Any

from numpy.typing import NDArray

from cellprep.core.targets.boundary import boundary_classes

PACKAGE = "acvl_utils"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"boundary": boundary_classes(labels, "border-core")}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as acvl_utils makes them, with the faster of its two functions."""
    from acvl_utils.instance_segmentation import instance_as_semantic_seg

    return {"boundary": instance_as_semantic_seg.convert_instanceseg_to_semantic_patched(labels[None])[0]}
