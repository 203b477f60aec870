"""Semantic segmentation: image to logits of cell, wall and background, in the order of the channels of ``semseg``."""

from typing import TYPE_CHECKING

from cellprep.core.targets.semseg import SEMSEG as TARGET
from cellprep.learn.networks.architectures import UNET
from cellprep.learn.networks.kind import Arrays, Batch, Maps, NetworkKind, Share
from cellprep.learn.networks.panels import Panel, show_classes, show_mask

if TYPE_CHECKING:
    from torch import Tensor


def _loss(maps: Maps, batch: Batch) -> "Tensor":
    from cellprep.learn.losses import semseg_loss

    return semseg_loss(maps["semseg"], batch["semseg"], batch["counts"])


def _measure(maps: Maps, batch: Batch) -> dict[str, Share]:
    """Intersection over union of each class."""
    predicted, true, counts = maps["semseg"].argmax(dim=1), batch["semseg"], batch["counts"]
    shares = {}
    for number, name in enumerate(TARGET.classes):
        here, there = (predicted == number) & counts, (true == number) & counts
        shares[f"iou_{name}"] = (float((here & there).sum()), float((here | there).sum()))
    return shares


def _panels(found: Arrays, true: Arrays) -> dict[str, Panel]:
    classes = found["semseg"].argmax(axis=0)
    return {
        "true cells and walls": show_classes(true["semseg"]),
        "predicted cells and walls": show_classes(classes),
        "wrong class": show_mask(classes != true["semseg"]),
    }


SEMSEG = NetworkKind(
    name="semseg",
    about="image -> cell, wall, background",
    inputs=("image",),
    maps={"semseg": len(TARGET.classes)},
    architectures={"unet": UNET},
    loss=_loss,
    measure=_measure,
    panels=_panels,
)
