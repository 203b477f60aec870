"""Optimisers, and the learning rate over a run."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from cellprep.learn.options import TrainOptions

__all__ = ["make_optimiser", "make_schedule"]


def make_optimiser(network: nn.Module, options: TrainOptions) -> Optimizer:
    """Return the optimiser; weights decay, but neither biases nor what scales a normalised channel."""
    if options.optimiser == "adam":
        return torch.optim.Adam(network.parameters(), lr=options.max_lr)
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=options.max_lr)


def make_schedule(optimiser: Optimizer, options: TrainOptions, steps: int) -> LRScheduler:
    """Return the learning rate over so many steps: one that is stepped after each of them."""
    if options.schedule == "constant":
        return ConstantLR(optimiser, factor=1.0)
    return OneCycleLR(optimiser, max_lr=options.max_lr, total_steps=steps, pct_start=0.25, cycle_momentum=False)
