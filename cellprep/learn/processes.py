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
from torch import Tensor, distributed

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
    """Let the processes exchange tensors while this context lasts, or the one around it that did so already."""
    here = processes()
    if here.count == 1 or distributed.is_initialized():
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
    return sum_over_processes(part) + (part - part.detach())


def sum_over_processes(part: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, through which no gradients go."""
    total = part.detach().clone(memory_format=torch.contiguous_format)
    if processes().count == 1:
        return total
    distributed.all_reduce(total)
    return total
