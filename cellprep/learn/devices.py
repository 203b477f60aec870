"""Where networks run, and with what numbers."""

import os

import torch

from cellprep.errors import UsageError

__all__ = ["Machine", "choose_machine"]


class Machine:
    """A device, and the numbers that it computes with.

    Attributes
    ----------
    device : torch.device
        Where the network is.
    bfloat16 : bool
        Whether convolutions and products are computed in bfloat16; weights, losses and sums stay float32.
    """

    def __init__(self, device: torch.device, bfloat16: bool) -> None:
        self.device = device
        self.bfloat16 = bfloat16

    def __str__(self) -> str:
        return f"{self.device} in {'bfloat16' if self.bfloat16 else 'float32'}"

    def autocast(self) -> torch.autocast:
        """Return the context in which the network is to be run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def workers(self) -> int:
        """Return how many processes should load crops, so that the network need not wait and has its cores."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(cores - 1, 2 if self.device.type == "cpu" else 8))


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """Find the device, and the numbers that it gains by.

    Parameters
    ----------
    device
        ``auto`` takes a GPU where there is one.
    precision
        ``auto`` takes bfloat16 on GPUs and CPUs that compute with it, else float32.

    Raises
    ------
    UsageError
        If there is no such device.

    Examples
    --------
    >>> print(choose_machine("cpu", "float32"))
    cpu in float32
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(kind for kind, there in available.items() if there) if device == "auto" else device
    if not available.get(name):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise UsageError(f"there is no device {device!r} that torch can use: there is {there}")
    return Machine(torch.device(name), _gains(name) if precision == "auto" else precision == "bfloat16")


def _gains(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not tell
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
