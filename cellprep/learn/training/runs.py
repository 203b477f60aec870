"""The existing runs and their options."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from cellprep.errors import UsageError, WeightsError
from cellprep.learn.training.options import TrainOptions
from cellprep.system.output import free_name

#: Default folder of runs.
RUNS = Path("runs")

#: The file of settings in the folder of a run.
SETTINGS = "run.json"


def choose_folder(network: str, *, resume: bool) -> Path:
    """Choose the folder of a run: a new one, or that of the newest run of a network to resume.

    Raises
    ------
    UsageError
        If there is no run to resume.
    """
    if not resume:
        return free_name(RUNS / network)
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}") if network_of(path.parent) == network]
    if not runs:
        raise UsageError(f"there is no run of {network} in {RUNS}/ to resume: omit --resume, or give --out")
    return max(runs, key=_last_change)


def _last_change(run: Path) -> float:
    times = [0.0]
    for file in run.iterdir():
        with suppress(OSError):  # a running training removes its temporary files
            times.append(file.stat().st_mtime)
    return max(times)


def network_of(run: Path) -> str:
    """Return the name of the network of a run; an empty string if it is unknown."""
    try:
        return str(json.loads((run / SETTINGS).read_text(encoding="utf-8"))["options"]["network"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def recorded_options(run: Path, network: str) -> dict[str, Any]:
    """Return the options that a run was started with, as JSON values.

    Raises
    ------
    UsageError
        If there is no run, or it trains another network.
    WeightsError
        If its file is damaged.
    """
    file = run / SETTINGS
    if not file.is_file():
        raise UsageError(f"there is no run in {run} to resume: omit --resume to start one")
    try:
        options = msgspec.json.decode(file.read_bytes())["options"]
        found = options["network"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{file} is damaged: start again in another folder") from error
    if found != network:
        raise UsageError(f"the run in {run} trains {found}, not {network}: name it, or give another --out")
    return dict(options)


def options_of(run: Path, network: str, changes: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a run to resume.

    Parameters
    ----------
    run
        Its folder.
    network
        The network that it should train.
    changes
        Options that replace those of the run.

    Raises
    ------
    UsageError
        If there is no run, it trains another network, or the changed options are not valid.
    WeightsError
        If its file is damaged.
    """
    options = recorded_options(run, network)
    try:
        before = options_from(options)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{run / SETTINGS} is damaged: start again in another folder") from error
    return replace(before, **changes, out=run, resume=True)


def options_from(options: Mapping[str, Any]) -> TrainOptions:
    """Return options from their JSON values.

    Raises
    ------
    MsgspecError
        If a value has another type.
    UsageError
        If a value is not valid.
    """
    return msgspec.convert(options, TrainOptions, dec_hook=lambda _, value: Path(value))


def data_option(store: Path) -> tuple[str, ...]:
    """Return the option that names a store; an empty tuple for the default store.

    Examples
    --------
    >>> data_option(Path("cells.zarr")), data_option(Path("data.zarr"))
    (('--data', 'cells.zarr'), ())
    """
    return ("--data", str(store)) if str(store) != "data.zarr" else ()
