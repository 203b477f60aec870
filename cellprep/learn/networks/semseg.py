"""Semantic segmentation: image to logits of cell, wall and background, in the order of the channels of ``semseg``.

A network with classes has a second map, ``classes``: logits of the class of the cell at each pixel.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cellprep.core.targets.semseg import SEMSEG as TARGET
from cellprep.learn.networks.architectures import UNET
from cellprep.learn.networks.kind import Arrays, Batch, Maps, NetworkKind, NetworkSettings, Share
from cellprep.learn.networks.panels import Panel, show_classes, show_mask, show_types
from cellprep.text.wording import printable

if TYPE_CHECKING:
    from torch import Tensor

_CELLS = len(TARGET.classes) - 1  # the classes before the background


def _forward(
    settings: NetworkSettings, body: Callable[["Tensor"], "Tensor"], image: "Tensor"
) -> "Tensor | tuple[Tensor, Tensor]":
    """Return logits (N, 3, H, W), and with ``classes`` those of the classes, (N, classes, H, W), of one backbone."""
    answer = body(image)
    if not settings.classes:
        return answer
    return answer[:, : len(TARGET.classes)], answer[:, len(TARGET.classes) :]


def _loss(maps: Maps, batch: Batch) -> "Tensor":
    from cellprep.learn.losses import class_loss, semseg_loss

    loss = semseg_loss(maps["semseg"], batch["semseg"], batch["counts"])
    if "classes" not in maps:
        return loss
    return loss + class_loss(maps["classes"], batch["classes"], batch["class_weights"][0], batch["counts"])


def _measure(settings: NetworkSettings, maps: Maps, batch: Batch) -> dict[str, Share]:
    """Return the intersection over union of cell, wall and background, and the shares of right classes of cells."""
    predicted, true, counts = maps["semseg"].argmax(dim=1), batch["semseg"], batch["counts"]
    shares = {}
    for number, name in enumerate(TARGET.classes):
        here, there = (predicted == number) & counts, (true == number) & counts
        shares[f"iou_{name}"] = (float((here & there).sum()), float((here | there).sum()))
    if settings.classes:
        there = batch["classes"]
        right = (maps["classes"].argmax(dim=1) == there) & counts
        parts = {"": (there >= 0) & counts}
        parts |= {f"_{name}": (there == number) & counts for number, name in enumerate(settings.classes)}
        shares |= {
            f"right_class{name}": (float((right & part).sum()), float(part.sum()))
            for name, part in parts.items()
            if not name or part.any()  # a class without a pixel in the validation image has no share
        }
    return shares


def _panels(settings: NetworkSettings, found: Arrays, true: Arrays) -> dict[str, Panel]:
    classes = found["semseg"].argmax(axis=0)
    panels = {
        "true cells and walls": show_classes(true["semseg"]),
        "predicted cells and walls": show_classes(classes),
        "wrong class": show_mask(classes != true["semseg"]),
    }
    if settings.classes:
        names = [printable(name) for name in settings.classes]
        of_cells = found["classes"].argmax(axis=0)
        of_cells[classes >= _CELLS] = -1
        panels |= {
            "true classes of cells": show_types(true["classes"], names),
            "predicted classes of cells": show_types(of_cells, names),
        }
    return panels


SEMSEG = NetworkKind(
    name="semseg",
    about="image -> cell, wall, background",
    inputs=("image",),
    maps={"semseg": len(TARGET.classes)},
    tells_classes=True,
    architectures={"unet": UNET},
    options=("classes",),
    forward=_forward,
    loss=_loss,
    measure=_measure,
    panels=_panels,
)
