"""The Direction Network: image and mask to unit vectors."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cellprep.learn.networks.architectures import UNET, Architecture, layers
from cellprep.learn.networks.kind import Arrays, Batch, Maps, NetworkKind, NetworkSettings, Share, in_domain
from cellprep.learn.networks.panels import Panel, show_values, show_vectors

if TYPE_CHECKING:
    from torch import Tensor

#: The value of the mask's channel inside the mask. The original uses 32 with 8-bit intensities, whose standard
#: deviation is about 64; here it is 1, so that this value keeps the ratio.
MASK_VALUE = 32 / 64

# The published size, for a GPU.
_PUBLISHED = Architecture(layers("published_dn", "PublishedDN"), base_channels=64, max_lr=1e-4)


def _forward(
    settings: NetworkSettings, body: Callable[["Tensor"], "Tensor"], image: "Tensor", mask: "Tensor"
) -> "Tensor":
    """Return unit vectors (y, x).

    The backbone sees the image, 0 outside the mask, and the mask as one more channel (`MASK_VALUE`). If the network is
    not ``masked``, it sees the whole image; with ``signed_mask``, also the mask, `MASK_VALUE` inside and minus
    `MASK_VALUE` outside, as in the network with the background as a cell by the author of the notes (qAp,
    sartorius_cell_instance_segmentation_kaggle). With ``classes``, the mask of each class is a channel, too.

    Parameters
    ----------
    settings
        Of the network.
    body
        Its layers.
    image
        (N, C, H, W), normalised.
    mask
        (N, 1 + classes, H, W) float, 0 or 1: all cells, then those of each class; ignored unless the network is
        ``masked`` or has a ``signed_mask``.

    Returns
    -------
    Tensor
        (N, 2, H, W) float32: components (y, x), length 1, but 0 outside the mask of a ``masked`` network, and where
        the backbone's output is 0 (only tiny networks have no active feature there).
    """
    import torch

    from cellprep.learn.networks.layers import unit_length

    cells, of_classes = mask[:, :1], MASK_VALUE * mask[:, 1:]
    if settings.masked:
        return unit_length(body(torch.cat([image * cells, MASK_VALUE * cells, of_classes], 1))) * cells
    if settings.signed_mask:
        return unit_length(body(torch.cat([image, MASK_VALUE * (2 * cells - 1), of_classes], 1)))
    return unit_length(body(image))


def _loss(maps: Maps, batch: Batch) -> "Tensor":
    from cellprep.learn.losses import direction_loss

    return direction_loss(maps["uvec"], batch["uvec"], batch["area"], in_domain(batch))


def _measure(_: NetworkSettings, maps: Maps, batch: Batch) -> dict[str, Share]:
    """Mean angle between predicted and true vectors, in degrees."""
    predicted, true = maps["uvec"].float(), batch["uvec"]
    counts = in_domain(batch) & (true != 0).any(dim=1)
    cosine = (predicted * true).sum(dim=1)[counts].clamp(-1, 1)
    return {"angle": (float(cosine.acos().rad2deg().double().sum()), float(counts.sum()))}


def _panels(_: NetworkSettings, found: Arrays, true: Arrays) -> dict[str, Panel]:
    angles = np.degrees(np.arccos(np.clip((found["uvec"] * true["uvec"]).sum(axis=0), -1, 1)))
    angles[(true["uvec"] == 0).all(axis=0) | (true["domain"][0] == 0)] = 0
    return {
        "true uvec": show_vectors(true["uvec"]),
        "predicted uvec": show_vectors(found["uvec"]),
        "angle between, degrees": show_values(angles, "magma", 180),
    }


DN = NetworkKind(
    name="dn",
    about="image and mask -> unit vectors",
    inputs=("image", "mask"),
    maps={"uvec": 2},
    architectures={"published": _PUBLISHED, "unet": UNET},
    options=("mask", "background_cell", "encoder", "classes"),
    needs_cells=True,
    forward=_forward,
    loss=_loss,
    measure=_measure,
    panels=_panels,
)
