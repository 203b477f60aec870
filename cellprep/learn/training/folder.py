"""The folder of a run: its files, and the order of writing them.

After each epoch, the weights, the metrics and the pictures are written, and finally the state. After an interruption,
every file is complete, and all files of the epoch of the state exist.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cellprep.errors import OutputError, UsageError, WeightsError
from cellprep.learn.training.checkpoint import load_state, save_state
from cellprep.learn.training.journal import METRICS
from cellprep.learn.training.runs import SETTINGS
from cellprep.learn.weights import BEST
from cellprep.system.output import remove_leftovers, write_whole


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    path
        Path of the folder.

    Attributes
    ----------
    best, last : Path
        Weights of the epoch with the lowest validation loss, and of the last one.
    metrics, curves : Path
        Metrics of every epoch, and their picture.
    pictures : Path
        Folder of pictures of validation images at the best epoch.
    tensorboard : Path
        Folder of the logs for TensorBoard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / BEST
        self.last = path / "last.safetensors"
        self.metrics = path / METRICS
        self.curves = path / "curves.png"
        self.pictures = path / "validation"
        self.tensorboard = path / "tensorboard"
        self._settings = path / SETTINGS
        self._state = path / "state.pt"

    def check_new(self) -> None:
        """Refuse a folder that is not empty, before any long work.

        Raises
        ------
        UsageError
            If it is not empty, or not a folder.
        """
        remove_leftovers(
            self.path, self._settings.name
        )  # otherwise a run that was killed at its very start could neither be started nor resumed
        try:
            if not self.path.exists() or not any(self.path.iterdir()):
                return
        except OSError as error:
            raise UsageError(f"--out {self.path} cannot be used: {error.strerror}") from error
        if self._settings.is_file():
            raise UsageError(
                f"{self.path} contains a run already: resume it with --resume, replace it with --overwrite, "
                "or give another --out"
            )
        raise UsageError(f"{self.path} is not empty: give another --out")

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder and write the settings of the run.

        Raises
        ------
        UsageError
            As `check_new`.
        OutputError
            If it cannot be written.
        """
        self.check_new()
        self.make()
        write_whole(self._settings, json.dumps(settings, indent=2) + "\n")
        self._make(self.pictures)

    def take_up(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state of the run; None if it was interrupted in its first epoch.

        With a constant learning rate, the number of epochs may change.

        Raises
        ------
        UsageError
            If there is no run, or its settings differ from these.
        WeightsError
            If its files are damaged.
        """
        if not self._settings.is_file():
            raise UsageError(f"there is no run in {self.path} to resume: omit --resume to start one")
        try:
            before = json.loads(self._settings.read_text(encoding="utf-8"))
            options = before["options"]
            differences = _differences(options, settings["options"], {**settings["options"], **options})
            differences += _differences(before, settings, settings)  # a run also records values that are not compared
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"{self._settings} is damaged: start again in another folder") from error
        prolonged = differences == ["epochs", "options"]
        if prolonged:
            self._check_epochs(before["options"], settings["options"]["epochs"])
        elif differences:
            names = ", ".join(name.replace("_", " ") for name in differences if name != "options")
            raise UsageError(
                f"the run in {self.path} differs in {names}: "
                "give the same options and data to resume it, or another --out"
            )
        self._make(self.pictures)
        for folder in (self.path, self.pictures):
            remove_leftovers(folder)
        state = load_state(self._state) if self._state.exists() else None
        if prolonged:
            done, epochs = state["epoch"] if state else 0, settings["options"]["epochs"]
            if epochs < done:
                raise UsageError(f"the run in {self.path} has {done} epochs already: --epochs {epochs} is too few")
            write_whole(self._settings, json.dumps(before | settings, indent=2) + "\n")
        return state

    def _check_epochs(self, before: dict[str, Any], epochs: int) -> None:
        if before["schedule"] != "constant":
            raise UsageError(
                f"the learning rate of the run in {self.path} decreases to nearly 0 by epoch {before['epochs']}, so it "
                f"cannot be extended to --epochs {epochs}: start a new run from its weights with `--init {self.path}` "
                "and another --out; only runs with --schedule constant can be extended"
            )

    def make(self) -> None:
        """Make the folder.

        Raises
        ------
        OutputError
            If it cannot be made.
        """
        self._make(self.path)

    def keep(self, state: dict[str, Any]) -> None:
        """Write the state, after all other files of its epoch.

        Raises
        ------
        OutputError
            If it cannot be written; the previous state is then kept.
        """
        save_state(self._state, state)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error


def _differences(before: dict[str, Any], now: dict[str, Any], names: Iterable[str]) -> list[str]:
    now = json.loads(json.dumps(now))  # which converts tuples to lists
    return [name for name in names if before.get(name) != now.get(name)]
