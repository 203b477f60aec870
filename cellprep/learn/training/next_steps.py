"""The commands to run after a training, depending on the existing runs."""

import shlex
from pathlib import Path

from cellprep.learn.networks.kind import NETWORKS
from cellprep.learn.prediction.bundle import END_TO_END, IN_A_ROW, SEMANTIC
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.training.runs import RUNS, data_option, network_of
from cellprep.learn.weights import BEST
from cellprep.system.output import free_name


def next_steps(out: Path, options: TrainOptions, store: Path) -> tuple[str, ...]:
    """Return the shell commands to run after a training, each with its purpose.

    One shows the results of the network, if it can be used alone; another trains the network that is still missing, or
    predicts if none is.

    Parameters
    ----------
    out
        The run's folder. Runs next to it are considered, too; of several runs of a network, the newest is used.
    options
        The options of the training.
    store
        The store of the training.
    """
    network = options.network
    data = data_option(store)
    look = ["cellprep", "predict", "--weights", str(out), *data]
    looks = [f"to see its results: {shlex.join(look)}"] if network in (END_TO_END, IN_A_ROW[0]) else []
    runs = {**_runs_in(out.parent), network: out}
    needed = [SEMANTIC, *(IN_A_ROW if END_TO_END not in runs else [])]
    missing = [name for name in needed if name not in runs]
    if missing:
        words = ["cellprep", "train", missing[0], *data]
        kind = NETWORKS[missing[0]]
        words += ["--background-cell"] if options.background_cell and "background_cell" in kind.options else []
        words += ["--classes"] if options.classes and kind.tells_classes else []  # vectors need none
        words += ["--out", str(free_name(out.parent / missing[0]))] if out.parent != RUNS else []
        return (*looks, f"next: {shlex.join(words)}")
    names = [END_TO_END] if END_TO_END in runs else IN_A_ROW
    weights = [word for name in names for word in ("--weights", str(runs[name]))]
    words = ["cellprep", "predict", *weights, "--semseg-weights", str(runs[SEMANTIC]), *data]
    return (*looks, f"next: {shlex.join(words)}")


def _runs_in(folder: Path) -> dict[str, Path]:
    """Return the newest finished run of each network in a folder."""
    finished = sorted(folder.glob(f"*/{BEST}"), key=lambda path: path.stat().st_mtime)
    return {network_of(path.parent): path.parent for path in finished}
