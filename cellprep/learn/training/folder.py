"""The folder of a run: what is where, and in which order it is written.

After each epoch come the weights, the figures and the pictures, and last the state. Whatever interrupts this, every
file is whole, and the state is that of an epoch all of whose files are written.
"""

import json
from pathlib import Path
from typing import Any

from cellprep.errors import OutputError, UsageError, WeightsError
from cellprep.learn.training.checkpoint import load_state, save_state
from cellprep.learn.weights import BEST
from cellprep.output import write_whole

__all__ = ["RunFolder"]


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    path
        Where it is.

    Attributes
    ----------
    best, last : Path
        Weights of the epoch with the lowest validation loss, and of the last one.
    metrics, curves : Path
        Figures of every epoch, and their picture.
    pictures : Path
        Folder of pictures of validation images at the best epoch.
    tensorboard : Path
        Folder of TensorBoard's files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / BEST
        self.last = path / "last.safetensors"
        self.metrics = path / "metrics.csv"
        self.curves = path / "curves.png"
        self.pictures = path / "validation"
        self.tensorboard = path / "tensorboard"
        self._settings = path / "run.json"
        self._state = path / "state.pt"

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder and write what the run is.

        Raises
        ------
        UsageError
            If something is there already.
        OutputError
            If it cannot be written.
        """
        try:
            if self.path.exists() and any(self.path.iterdir()):
                raise UsageError(f"{self.path} is not empty: --resume goes on with its run; or give another --out")
            self.pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {self.path}: {error.strerror}") from error
        write_whole(self._settings, json.dumps(settings, indent=2) + "\n")

    def take_up(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state of the run; None if it was interrupted within its first epoch.

        Raises
        ------
        UsageError
            If there is no run, or it is another one than these settings describe.
        WeightsError
            If its files are damaged.
        """
        if not self._settings.is_file():
            raise UsageError(f"there is no run in {self.path} to go on with: leave --resume out to begin one")
        try:
            before = json.loads(self._settings.read_text(encoding="utf-8"))
            differences = [*_differences(before["options"], settings["options"]), *_differences(before, settings)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"{self._settings} is damaged: begin again in another folder") from error
        if differences:
            names = ", ".join(name.replace("_", " ") for name in differences if name != "options")
            raise UsageError(
                f"the run in {self.path} was begun with another {names}: "
                "give the same options and data to go on with it, or another --out"
            )
        return load_state(self._state) if self._state.exists() else None

    def keep(self, state: dict[str, Any]) -> None:
        """Write the state, after all that belongs to its epoch.

        Raises
        ------
        OutputError
            If it cannot be written; the state before is then still there.
        """
        save_state(self._state, state)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    now = json.loads(json.dumps(now))  # which makes tuples lists
    return [name for name in now if before.get(name) != now[name]]
