"""What each network is asked for: its inputs from a batch, its loss, and what is measured in validation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellprep.learn.losses import direction_loss, energy_loss, semseg_loss

Batch = dict[str, Tensor]
Maps = dict[str, Tensor]  # what a network predicts, by the names of the targets
Share = tuple[float, float]  # a measure as its sum and its weight, so that images of all sizes can be pooled


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is asked for.

    Attributes
    ----------
    predict
        Takes the network and a batch, and returns the maps: ``semseg`` (N, 3, H, W) logits, ``uvec`` (N, 2, H, W),
        ``energy`` (N, levels, H, W) logits.
    loss
        Takes the maps and the batch, and returns a scalar.
    measure
        Takes the same, and returns measures by name.
    """

    predict: Callable[[nn.Module, Batch], Maps]
    loss: Callable[[Maps, Batch], Tensor]
    measure: Callable[[Maps, Batch], dict[str, Share]]


def _in_domain(batch: Batch) -> Tensor:
    return batch["counts"] & (batch["domain"][:, 0] > 0)


def _semseg_loss(maps: Maps, batch: Batch) -> Tensor:
    return semseg_loss(maps["semseg"], batch["semseg"], batch["counts"])


def _direction_loss(maps: Maps, batch: Batch) -> Tensor:
    return direction_loss(maps["uvec"], batch["uvec"], batch["area"], _in_domain(batch))


def _energy_loss(maps: Maps, batch: Batch) -> Tensor:
    return energy_loss(maps["energy"], batch["energy"], batch["area"], _in_domain(batch))


def _semseg_measures(maps: Maps, batch: Batch) -> dict[str, Share]:
    """Intersection over union of each class."""
    predicted, true, counts = maps["semseg"].argmax(dim=1), batch["semseg"], batch["counts"]
    shares = {}
    for number, name in enumerate(("cell", "wall", "background")):
        here, there = (predicted == number) & counts, (true == number) & counts
        shares[f"iou_{name}"] = (float((here & there).sum()), float((here | there).sum()))
    return shares


def _direction_measures(maps: Maps, batch: Batch) -> dict[str, Share]:
    """Mean angle between predicted and true vectors, in degrees."""
    predicted, true = maps["uvec"].float(), batch["uvec"]
    counts = _in_domain(batch) & (true != 0).any(dim=1)
    cosine = (predicted * true).sum(dim=1)[counts].clamp(-1, 1)
    return {"angle": (float(torch.rad2deg(torch.acos(cosine)).double().sum()), float(counts.sum()))}


def _energy_measures(maps: Maps, batch: Batch) -> dict[str, Share]:
    """Shares of the pixels whose level is right, and right to one level."""
    counts = _in_domain(batch)
    error = (maps["energy"].argmax(dim=1) - batch["energy"]).abs()[counts]
    return {
        "right_level": (float((error == 0).sum()), float(counts.sum())),
        "within_one_level": (float((error <= 1).sum()), float(counts.sum())),
    }


def _both(network: nn.Module, batch: Batch) -> Maps:
    uvec, energy = network(batch["image"], batch["mask"])
    return {"uvec": uvec, "energy": energy}


#: The tasks by the name of the network. WN is trained for its energy alone, as in the paper; what becomes of the
#: vectors between its two parts is measured.
TASKS: dict[str, Task] = {
    "semseg": Task(
        predict=lambda network, batch: {"semseg": network(batch["image"])},
        loss=_semseg_loss,
        measure=_semseg_measures,
    ),
    "dn": Task(
        predict=lambda network, batch: {"uvec": network(batch["image"], batch["mask"])},
        loss=_direction_loss,
        measure=_direction_measures,
    ),
    "wtn": Task(
        predict=lambda network, batch: {"energy": network(batch["uvec"] * batch["domain"])},
        loss=_energy_loss,
        measure=_energy_measures,
    ),
    "wn": Task(
        predict=_both,
        loss=_energy_loss,
        measure=lambda maps, batch: _energy_measures(maps, batch) | _direction_measures(maps, batch),
    ),
}
