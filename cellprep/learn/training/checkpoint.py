"""The state of a run on disk: everything that resuming needs, complete at any time."""

import io
from pathlib import Path
from typing import Any

import torch

from cellprep.errors import WeightsError
from cellprep.system.output import write_whole


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, strings, lists and dicts.

    Raises
    ------
    OutputError
        If it cannot be written; the previous state is then kept.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Read a state, without executing any code in the file.

    Raises
    ------
    WeightsError
        If it is missing, damaged or not a state.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no run to resume: {path} is missing; omit --resume to start one") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # PyTorch's reader raises any exception for invalid bytes
        raise WeightsError(f"{path} is damaged, or not a training state: start again in another folder") from error
    if not isinstance(state, dict) or not {"epoch", "rows"} <= state.keys():
        raise WeightsError(f"{path} is not a training state: start again in another folder")
    return state
