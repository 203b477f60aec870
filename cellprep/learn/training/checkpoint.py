"""The state of a run on disk: all that going on needs, whole whenever it is read."""

import io
from pathlib import Path
from typing import Any

import torch

from cellprep.errors import WeightsError
from cellprep.system.output import write_whole


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, texts, lists and dicts.

    Raises
    ------
    OutputError
        If it cannot be written; the state before is then still there.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Read a state; nothing in the file is run.

    Raises
    ------
    WeightsError
        If it is missing, damaged or foreign.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no run to go on with: {path} is missing; leave --resume out to begin") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # PyTorch's reader raises whatever the bytes lead it to
        raise WeightsError(f"{path} is damaged or no state of a training: begin again in another folder") from error
    if not isinstance(state, dict) or not {"epoch", "rows"} <= state.keys():
        raise WeightsError(f"{path} is no state of a training: begin again in another folder")
    return state
