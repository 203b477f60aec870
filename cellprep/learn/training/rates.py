"""Optimisers and learning rate schedules."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cellprep.learn.training.options import TrainOptions

_RISE = 0.25  # share of the steps
_FIRST, _LAST = 1 / 25, 1e-4  # of the highest rate

_OPTIMISERS: dict[str, type[torch.optim.Adam]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def make_optimiser(network: nn.Module, options: TrainOptions) -> Optimizer:
    """Return the optimiser, with weight decay for weights, but not for biases and scales of normalised channels."""
    assert options.max_lr is not None
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return _OPTIMISERS[options.optimiser](groups, lr=options.max_lr)


def make_schedule(optimiser: Optimizer, options: TrainOptions, steps: int) -> LambdaLR:
    """Return the schedule of the learning rate over a number of steps; call its ``step`` after each of them."""
    if options.schedule == "constant":
        return LambdaLR(optimiser, lambda step: 1.0)
    return LambdaLR(optimiser, lambda step: one_cycle(step / steps))


def one_cycle(share: float) -> float:
    """Return the learning rate after a share of the steps, relative to the highest: it rises, then falls to nearly 0.

    Both are half a cosine (Smith & Topin 2017, arXiv 1708.07120, in the form of torch's ``OneCycleLR``).

    Examples
    --------
    >>> [round(one_cycle(share), 4) for share in (0, 0.125, 0.25, 0.625, 1)]
    [0.04, 0.52, 1.0, 0.5, 0.0001]
    """
    if share < _RISE:
        return _between(_FIRST, 1.0, share / _RISE)
    return _between(1.0, _LAST, (share - _RISE) / (1 - _RISE))


def _between(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
