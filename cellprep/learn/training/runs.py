"""Which runs there are, and what each was begun with."""

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

#: Where runs are unless their folder is named.
RUNS = Path("runs")

#: The file in the folder of a run that says what it is.
SETTINGS = "run.json"


def choose_folder(network: str, *, resume: bool) -> Path:
    """Choose the folder of a run: a free one, or that of the newest run of a network to go on with.

    Raises
    ------
    UsageError
        If there is no run to go on with.
    """
    if not resume:
        return free_name(RUNS / network)
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}") if network_of(path.parent) == network]
    if not runs:
        raise UsageError(f"there is no run of {network} in {RUNS}/ to go on with: leave --resume out, or give --out")
    return max(runs, key=_last_change)


def _last_change(run: Path) -> float:
    times = [0.0]
    for file in run.iterdir():
        with suppress(OSError):  # a training under way takes its temporary files away
            times.append(file.stat().st_mtime)
    return max(times)


def network_of(run: Path) -> str:
    """Return the name of the network that a run trains; empty text if its folder does not tell."""
    try:
        return str(json.loads((run / SETTINGS).read_text(encoding="utf-8"))["options"]["network"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def recorded_options(run: Path, network: str) -> dict[str, Any]:
    """Return the options that a run was begun with, as JSON has them.

    Raises
    ------
    UsageError
        If there is no run, or it trains another network.
    WeightsError
        If its file is damaged.
    """
    file = run / SETTINGS
    if not file.is_file():
        raise UsageError(f"there is no run in {run} to go on with: leave --resume out to begin one")
    try:
        options = msgspec.json.decode(file.read_bytes())["options"]
        found = options["network"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{file} is damaged: begin again in another folder") from error
    if found != network:
        raise UsageError(f"the run in {run} trains {found}, not {network}: name it, or give another --out")
    return dict(options)


def options_of(run: Path, network: str, changes: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a run to go on with.

    Parameters
    ----------
    run
        Its folder.
    network
        The network that it should train.
    changes
        Options that count instead of those of before.

    Raises
    ------
    UsageError
        If there is no run, it trains another network, or the changed options are not possible.
    WeightsError
        If its file is damaged.
    """
    options = recorded_options(run, network)
    try:
        before = options_from(options)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{run / SETTINGS} is damaged: begin again in another folder") from error
    return replace(before, **changes, out=run, resume=True)


def options_from(options: Mapping[str, Any]) -> TrainOptions:
    """Return options from what JSON has of them.

    Raises
    ------
    MsgspecError
        If a value has another type.
    UsageError
        If a value is not possible.
    """
    return msgspec.convert(options, TrainOptions, dec_hook=lambda _, value: Path(value))


def data_option(store: Path) -> tuple[str, ...]:
    """Return the option that names a store; nothing for the one that is meant unless given.

    Examples
    --------
    >>> data_option(Path("cells.zarr")), data_option(Path("data.zarr"))
    (('--data', 'cells.zarr'), ())
    """
    return ("--data", str(store)) if str(store) != "data.zarr" else ()
