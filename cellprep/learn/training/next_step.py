"""What to type after a training: commands that fit the runs that are there."""

import shlex
from pathlib import Path

from cellprep.learn.training.folder import RUNS, network_of
from cellprep.learn.weights import BEST

__all__ = ["next_step"]

_ORDER = ("semseg", "dn", "wtn")


def next_step(out: Path, network: str, store: Path) -> str:
    """Return the command that comes after a training: that of a network which is still missing, or the prediction.

    Parameters
    ----------
    out
        The run's folder. Those beside it are looked at, too; of several runs of a network the newest counts.
    network
        What it trained.
    store
        What it learned from.

    Returns
    -------
    str
        A command, as a shell takes it.
    """
    runs = {**_runs_in(out.parent), network: out}
    missing = [name for name in _ORDER if name not in runs and not (name in ("dn", "wtn") and "wn" in runs)]
    if missing:
        words = ["cellprep", "train", missing[0]]
        words += ["--data", str(store)] if str(store) != "data.zarr" else []
        words += ["--out", str(out.parent / missing[0])] if out.parent != RUNS else []
    else:
        names = ["wn"] if "wn" in runs else ["dn", "wtn"]
        words = ["cellprep", "predict", "IMAGES"]
        words += [word for name in names for word in ("--weights", str(runs[name]))]
        words += ["--semseg-weights", str(runs["semseg"])]
    return shlex.join(words)


def _runs_in(folder: Path) -> dict[str, Path]:
    """Return the newest finished run of each network in a folder."""
    finished = sorted(folder.glob(f"*/{BEST}"), key=lambda path: path.stat().st_mtime)
    return {network_of(path.parent): path.parent for path in finished}
