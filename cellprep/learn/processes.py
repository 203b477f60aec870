"""Several processes that train one network, as `torchrun` starts them: each computes its share of every batch.

What they compute is what one process would of the whole batch: sums that losses and normalisations are made of are
those of all processes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

__all__ = ["BatchNorm2d", "Processes", "all_sum", "gather", "joined", "processes", "share"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a training.

    Attributes
    ----------
    rank
        Which of them this is, from 0; the first one writes and tells.
    count
        How many they are.
    local_rank
        Which of those on this machine this is.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0


def processes() -> Processes:
    """Return what `torchrun` says of the processes; one alone if it did not start this one."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return Processes()
    return Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Let the processes exchange tensors while this context lasts."""
    here = processes()
    if here.count == 1:
        yield here
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield here
    finally:
        distributed.destroy_process_group()


def share(value: T) -> T:
    """Return the first process's value in all."""
    if processes().count == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box)
    return box[0]


def gather(values: list[T]) -> list[T]:
    """Return the values of all processes, those of the first one first."""
    here = processes()
    if here.count == 1:
        return values
    boxes: list[Any] = [None] * here.count
    distributed.all_gather_object(boxes, values)
    return [value for box in boxes for value in box]


def all_sum(part: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, whose gradient is that of this process's part.

    Without gradients it is this process's own: in validation each has images of its own.
    """
    if processes().count == 1 or not torch.is_grad_enabled():
        return part
    total = part.detach().clone()
    distributed.all_reduce(total)
    return total + (part - part.detach())


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance of the batch of all processes, on any device."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Normalise (N, C, H, W)."""
        if processes().count == 1 or not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        pixels = _total(values.new_tensor(values.numel() / values.shape[1]))
        mean = _total(values.sum((0, 2, 3))) / pixels
        centred = values - mean[:, None, None]
        variance = _total(centred.square().sum((0, 2, 3))) / pixels
        with torch.no_grad():
            self._remember(mean, variance * pixels / (pixels - 1))
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class _Total(torch.autograd.Function):
    """A sum over the processes, through which gradients go back to all of them."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return _reduced(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _reduced(gradient)


def _total(part: Tensor) -> Tensor:
    total: Tensor = _Total.apply(part)  # type: ignore[no-untyped-call]
    return total


def _reduced(part: Tensor) -> Tensor:
    total = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
