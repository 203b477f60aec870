"""Training one network in several processes, started by `torchrun`: each computes its share of every batch.

The result equals that of a single process with the whole batch: sums in losses and normalisations run over all
processes.
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
        Number of this process, from 0; only the first writes files and messages.
    count
        Number of processes.
    local_rank
        Number of this process among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0


def processes() -> Processes:
    """Return the processes according to `torchrun`; a single one if it did not start this process."""
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return Processes()
    return Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Connect the processes for exchanging tensors in this context; nested contexts share the connection."""
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
    """Return the first process's value in all processes."""
    if processes().count == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box)
    return box[0]


def gather(values: list[T]) -> list[T]:
    """Return the values of all processes, in the order of their ranks."""
    here = processes()
    if here.count == 1:
        return values
    boxes: list[Any] = [None] * here.count
    distributed.all_gather_object(boxes, values)
    return [value for box in boxes for value in box]


def all_sum(part: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes; its gradient is that of this process's part.

    Without gradients, the process's own tensor is returned: in validation, each process has its own images.
    """
    if processes().count == 1 or not torch.is_grad_enabled():
        return part
    return sum_over_processes(part) + (part - part.detach())


def sum_over_processes(part: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, without gradients."""
    total = part.detach().clone(memory_format=torch.contiguous_format)
    if processes().count == 1:
        return total
    distributed.all_reduce(total)
    return total
