"""A network for each fold, trained on all others: their mean predicts better than one of them."""

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
        What came of each.
    tells
        Whether this process is to tell of it: the first of several.
    """

    out: Path
    trained: list[TrainReport]
    tells: bool = True

    def __repr__(self) -> str:
        return f"<FoldsReport {self.out}: {count(len(self.trained), 'fold')}; validation loss {self.loss:.4f}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: a table of what is told."""
        return notebook_html("FoldsReport", [(str(self.out), self.notes())])

    @property
    def loss(self) -> float:
        """The mean over folds of the lowest validation loss."""
        return sum(run.best["val_loss"] for run in self.trained) / len(self.trained)

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per epoch of each ``fold``, as `cellprep.read_metrics` reads it."""
        from pandas import concat

        tables = {run.out.name: run.to_dataframe() for run in self.trained}
        return concat(tables, names=["fold"]).reset_index(level="fold").reset_index(drop=True)

    def notes(self) -> list[str]:
        """Return what is to be told."""
        if not self.tells:
            return []
        best = [f"{run.out.name}: validation loss {run.best['val_loss']:.4f}" for run in self.trained]
        return [
            *best,
            f"{self.out}: {count(len(self.trained), 'fold')}, validation loss {self.loss:.4f} on average",
            f"where weights are asked for, {shlex.quote(str(self.out))} stands for all of them",
        ]

    def errors(self) -> list[str]:
        """Return what failed: nothing, as a training that fails raises."""
        return []


@takes(TrainOptions, but=("network", "fold"))
def train_folds(
    store: StoreLike, network: str, out: Path | str | None = None, *, resume: bool = False, **settings: Any
) -> FoldsReport:
    """Train a network for each fold, validated on it and trained on all others.

    All that is finished is left alone if it is resumed, and what was interrupted goes on.

    Parameters
    ----------
    store
        A store, or its path.
    network
        The network.
    out
        Folder of the runs; ``runs/NETWORK-folds``, or with a number behind it, unless given.
    resume
        Whether to go on with what is in `out`.
    **settings
        Options of `TrainOptions`, among them ``folds``.

    Raises
    ------
    UsageError, SourceError, WeightsError, TrainingError, OutputError
        As `cellprep.learn.train`.
    """
    find_kind(network)
    store, settings = as_store(store), taken(unfolded(TrainOptions), settings)
    if resume and out is None:
        raise UsageError("--resume of all folds needs the folder of their runs: give --out")
    folder = free_name(RUNS / f"{network}-folds") if out is None else local_path(out)
    folds = settings.get("folds")
    if folds is None:
        raise UsageError("to train a network for each fold, give --folds, the file that `cellprep split` wrote")
    numbers = sorted(set(read_folds(folds)[0].values()))
    trained = [_train(store, network, folder / f"fold-{fold}", fold, settings, resume=resume) for fold in numbers]
    return FoldsReport(folder, trained, trained[0].tells)


def _train(
    store: StoreLike, network: str, run: Path, fold: int, settings: Mapping[str, Any], *, resume: bool
) -> TrainReport:
    """Train on all folds but one, or go on with that, by the options that it has already."""
    if not resume or not (run / SETTINGS).exists():
        return train(store, network, out=run, **{**settings, "fold": fold})
    free = {name: value for name, value in settings.items() if name in MAY_CHANGE}
    return train(store, options_of(run, network, free))
