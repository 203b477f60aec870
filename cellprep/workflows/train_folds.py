"""Training of a network for each fold, on all other folds; the mean of these networks predicts better than each."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.errors import UsageError
from cellprep.formats.annotations.folds import read_folds
from cellprep.learn.networks.kind import find_kind
from cellprep.learn.training.options import MAY_CHANGE, TrainOptions
from cellprep.learn.training.run import TrainReport, train
from cellprep.learn.training.runs import RUNS, SETTINGS, options_of
from cellprep.store import StoreLike, as_store
from cellprep.system.options import taken, takes, unfolded
from cellprep.system.output import free_name
from cellprep.system.places import local_path
from cellprep.text.notebook import notebook_html
from cellprep.text.wording import count

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class FoldsReport:
    """The result of training a network for each fold.

    Attributes
    ----------
    out
        The folder of the runs, one for each fold: ``fold-0``, ``fold-1``, ...
    trained
        The report of each training.
    tells
        Whether this process reports the result: only the first of several processes does.
    """

    out: Path
    trained: list[TrainReport]
    tells: bool = True

    def __repr__(self) -> str:
        return f"<FoldsReport {self.out}: {count(len(self.trained), 'fold')}; validation loss {self.loss:.4f}>"

    def _repr_html_(self) -> str:
        """Return a table of the notes for notebooks."""
        return notebook_html("FoldsReport", [(str(self.out), self.notes())])

    @property
    def loss(self) -> float:
        """The mean over folds of the lowest validation loss."""
        return sum(run.best["val_loss"] for run in self.trained) / len(self.trained)

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per epoch of each ``fold``, as from `cellprep.read_metrics`."""
        from pandas import concat

        tables = {run.out.name: run.to_dataframe() for run in self.trained}
        return concat(tables, names=["fold"]).reset_index(level="fold").reset_index(drop=True)

    def notes(self) -> list[str]:
        """Return lines on the result."""
        if not self.tells:
            return []
        best = [f"{run.out.name}: validation loss {run.best['val_loss']:.4f}" for run in self.trained]
        return [
            *best,
            f"{self.out}: {count(len(self.trained), 'fold')}, validation loss {self.loss:.4f} on average",
            f"to use the weights of all folds, give {shlex.quote(str(self.out))}",
        ]

    def errors(self) -> list[str]:
        """Return an empty list, as failures are raised."""
        return []


@takes(TrainOptions, but=("network", "fold"))
def train_folds(
    store: StoreLike, network: str, out: Path | str | None = None, *, resume: bool = False, **settings: Any
) -> FoldsReport:
    """Train a network for each fold, validated on it and trained on all others.

    A resumed run leaves finished networks unchanged, and continues the others.

    Parameters
    ----------
    store
        A store, or its path.
    network
        The name of the network.
    out
        Folder of the runs; by default ``runs/NETWORK-folds``, with a number appended if it exists.
    resume
        Whether to resume the runs in `out`.
    **settings
        Options of `TrainOptions`, including ``folds``.

    Raises
    ------
    UsageError, SourceError, WeightsError, TrainingError, OutputError
        As in `cellprep.learn.train`.
    """
    find_kind(network)
    store, settings = as_store(store), taken(unfolded(TrainOptions), settings)
    if resume and out is None:
        raise UsageError("to resume the runs of all folds, give their folder: --out")
    folder = free_name(RUNS / f"{network}-folds") if out is None else local_path(out)
    folds = settings.get("folds")
    if folds is None:
        raise UsageError("to train a network for each fold, give --folds, the file written by `cellprep split`")
    numbers = sorted(set(read_folds(folds)[0].values()))
    trained = [_train(store, network, folder / f"fold-{fold}", fold, settings, resume=resume) for fold in numbers]
    return FoldsReport(folder, trained, trained[0].tells)


def _train(
    store: StoreLike, network: str, run: Path, fold: int, settings: Mapping[str, Any], *, resume: bool
) -> TrainReport:
    """Train on all folds except one, or resume that training with its own options."""
    if not resume or not (run / SETTINGS).exists():
        return train(store, network, out=run, **{**settings, "fold": fold})
    free = {name: value for name, value in settings.items() if name in MAY_CHANGE}
    return train(store, options_of(run, network, free))
