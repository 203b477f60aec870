"""The Watershed Transform Network: unit vectors (y, x) to logits of the energy levels."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cellprep.learn.networks.architectures import UNET, Architecture, layers
from cellprep.learn.networks.kind import Arrays, Batch, Maps, NetworkKind, NetworkSettings, Share, in_domain
from cellprep.learn.networks.panels import Panel, show_values

if TYPE_CHECKING:
    from torch import Tensor

# The published size, for a GPU.
_PUBLISHED = Architecture(layers("published_wtn", "PublishedWTN"), base_channels=64, max_lr=1e-4)

# Its receptive field is about that of the published backbone: the depth of a pixel in a cell is a local property.
_SHALLOW = replace(UNET, body=layers("unet", "UNet", depth=2))


def _loss(maps: Maps, batch: Batch) -> "Tensor":
    from cellprep.learn.losses import energy_loss

    return energy_loss(maps["energy"], batch["energy"], batch["area"], in_domain(batch))


def _measure(_: NetworkSettings, maps: Maps, batch: Batch) -> dict[str, Share]:
    """Return the shares of pixels with the right level, and within one level of it."""
    counts = in_domain(batch)
    error = (maps["energy"].argmax(dim=1) - batch["energy"]).abs()[counts]
    return {
        "right_level": (float((error == 0).sum()), float(counts.sum())),
        "within_one_level": (float((error <= 1).sum()), float(counts.sum())),
    }


def _panels(_: NetworkSettings, found: Arrays, true: Arrays) -> dict[str, Panel]:
    mask, highest = true["domain"][0] > 0, len(found["energy"]) - 1
    level, levels = (np.where(mask, values, 0) for values in (true["energy"], found["energy"].argmax(axis=0)))
    wrong = np.abs(levels - level)
    return {
        "true energy": show_values(level, "viridis", highest),
        "predicted energy": show_values(levels, "viridis", highest),
        "levels apart": show_values(wrong, "magma", max(4, int(wrong.max()))),
    }


WTN = NetworkKind(
    name="wtn",
    about="unit vectors -> energy levels",
    inputs=("uvec",),
    maps={"energy": None},
    architectures={"published": _PUBLISHED, "unet": _SHALLOW},
    needs_cells=True,
    loss=_loss,
    measure=_measure,
    panels=_panels,
)
