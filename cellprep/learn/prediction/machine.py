"""Where networks run, and what they compute in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from cellprep.errors import UsageError

__all__ = ["Machine", "choose_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, and the numbers that it computes in.

    Attributes
    ----------
    device
        The device.
    dtype
        What convolutions compute in: float32 or bfloat16.
    """

    device: torch.device
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.device.type}, {str(self.dtype).removeprefix('torch.')}"

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Let torch compute so, without gradients, while this context lasts."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.dtype != torch.float32:
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
            elif self.device.type == "cuda":  # whose convolutions else round to 11 bits
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            yield


def choose_machine(device: str, precision: str) -> Machine:
    """Choose where and how to compute.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``mps``, or ``auto`` for what there is.
    precision
        ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where the processor has it built in.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name in there if there[name]) if device == "auto" else device
    if not there[chosen]:
        raise UsageError(f"device {device!r} is not there: give {', '.join(name for name in there if there[name])}")
    fast = precision == "bfloat16" or (precision == "auto" and _gains(chosen))
    return Machine(torch.device(chosen), torch.bfloat16 if fast else torch.float32)


def _gains(device: str) -> bool:
    """Say whether a device computes faster in bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch has no such question; then float32 is as right as ever.
    asks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return device == "cpu" and any(ask is not None and ask() for ask in asks)
