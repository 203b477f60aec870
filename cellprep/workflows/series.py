"""Successive trainings of several networks in one folder, and the scores of the results."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cellprep.commands.evaluate import EvaluationReport, evaluate
from cellprep.errors import UsageError, WeightsError
from cellprep.formats.readers import open_source
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.run import predict
from cellprep.learn.training.folder import RunFolder
from cellprep.learn.training.options import MAY_CHANGE, TrainOptions, as_json
from cellprep.learn.training.run import TrainReport
from cellprep.learn.training.runs import SETTINGS, options_from, options_of, recorded_options
from cellprep.store import Store
from cellprep.system.output import write_whole

if TYPE_CHECKING:
    from pandas import DataFrame


def lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that affect the result, as in JSON."""
    return {name: as_json(value) for name, value in settings.items() if name not in MAY_CHANGE}


def changeable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a resumed run may change."""
    return {name: value for name, value in settings.items() if name in MAY_CHANGE}


def begin_series(out: Path, name: str, recorded: Mapping[str, Any], val_ids: Sequence[str], **others: Any) -> None:
    """Make the folder of the runs, and record their options.

    Raises
    ------
    UsageError
        If the folder already has content.
    OutputError
        If it cannot be written.
    """
    folder = RunFolder(out)
    folder.check_new()
    folder.make()
    content = {"options": {"network": name, **recorded}, "validation_images": [*val_ids], **others}
    write_whole(out / SETTINGS, json.dumps(content, indent=2) + "\n")


def take_up_series(out: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded options, as in JSON; the given options must not differ.

    Raises
    ------
    UsageError
        If there are no such runs, or their options differ.
    WeightsError
        If the file of options is damaged.
    """
    recorded = recorded_options(out, name)
    del recorded["network"]
    if different := [name for name, value in lasting(settings).items() if recorded.get(name) != value]:
        names = ", ".join(name.replace("_", " ") for name in different)
        raise UsageError(f"the run in {out} has different values of {names}: leave these options out to resume it")
    return recorded


def validation_images(out: Path) -> list[str]:
    """Return the images that the networks of a folder are validated on."""
    return _recorded(out, "validation_images")


def recorded_origin(out: Path) -> list[dict[str, Any]]:
    """Return the initial weights of the networks of a folder."""
    return _recorded(out, "origin")


def _recorded(out: Path, name: str) -> list[Any]:
    try:
        found = msgspec.json.decode((out / SETTINGS).read_bytes())[name]
        return msgspec.convert(found, list[Any])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise WeightsError(f"{out / SETTINGS} is damaged: start again in another folder") from error


def options_in(out: Path, network: str, own: Mapping[str, Any], free: Mapping[str, Any]) -> TrainOptions:
    """Return the options of one of several networks: those of its existing run, or by default its own.

    Raises
    ------
    UsageError
        If they are invalid.
    """
    run = out / network
    if (run / SETTINGS).exists():
        return options_of(run, network, free)
    try:
        options = options_from({"network": network, "out": str(run), **own})
    except msgspec.MsgspecError as error:
        raise UsageError(f"an option has a value of the wrong type: {error}") from error
    return replace(options, **free)


def score(
    store: Store, bundle: Bundle, image_ids: Iterable[str], predicted: Path, free: Mapping[str, Any], **outputs: Any
) -> tuple[EvaluationReport | None, list[str]]:
    """Predict images, replacing those of an interrupted run; return the scores, if any, and the problems."""
    shutil.rmtree(predicted, ignore_errors=True)
    quiet, device = bool(free.get("quiet")), free.get("device", "auto")
    prediction = predict(
        None, predicted, bundle, data=store, only=tuple(image_ids), device=device, quiet=quiet, **outputs
    )
    if not prediction.images:
        return None, prediction.errors()
    found = open_source(predicted)
    report = evaluate(found, store, only=tuple(found.image_ids), quiet=quiet)
    return report, [*prediction.errors(), *report.errors()]


def notes_on_data(trained: Iterable[TrainReport]) -> list[str]:
    """Return the notes on the data of each training."""
    return [f"{run.out.name}: {line}" for run in trained for line in run.notes_on_data()]


def all_metrics(trained: Iterable[TrainReport]) -> "DataFrame":
    """Return a table with a row per epoch of each ``network``, as from `cellprep.read_metrics`."""
    from pandas import concat

    tables = {run.out.name: run.to_dataframe() for run in trained}
    return concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)
