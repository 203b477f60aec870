"""Devices and numeric precision of networks."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from cellprep.errors import UsageError
from cellprep.learn.processes import processes


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and its precision.

    Attributes
    ----------
    device
        The device.
    dtype
        The dtype of convolutions: float32 or bfloat16. Weights, losses and sums stay float32.
    """

    device: torch.device
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.device.type}, {str(self.dtype).removeprefix('torch.')}"

    def autocast(self) -> torch.autocast:
        """Return the context for running a network."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Run torch with this precision, without gradients, and as exactly as possible in this context."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(self.autocast())
            if self.device.type == "cuda":  # float32 convolutions would round to 11 bits
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            yield

    def workers(self) -> int:
        """Return the number of processes for loading samples that neither starve the network nor take its cores."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(cores - 1, 2 if self.device.type == "cpu" else 8))


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """Choose the device and the precision.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``mps``, or ``auto`` for the best that is available.
    precision
        ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where the processor supports it natively.

    Raises
    ------
    UsageError
        If the device is not available.

    Examples
    --------
    >>> print(choose_machine("cpu", "float32"))
    cpu, float32
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name in there if there[name]) if device == "auto" else device
    if not there[chosen]:
        raise UsageError(f"device {device!r} is not available: use {', '.join(name for name in there if there[name])}")
    fast = precision == "bfloat16" or (precision == "auto" and _gains(chosen))
    return Machine(_of_this_process(chosen), torch.bfloat16 if fast else torch.float32)


def _of_this_process(device: str) -> torch.device:
    """Return the GPU of this process if there are several processes and GPUs."""
    here = processes()
    if device != "cuda" or here.count == 1:
        return torch.device(device)
    torch.cuda.set_device(here.local_rank)
    return torch.device(device, here.local_rank)


def _gains(device: str) -> bool:
    """Return whether a device computes faster in bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch lacks these functions: float32 is then used, which is always right.
    asks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return device == "cpu" and any(ask is not None and ask() for ask in asks)
