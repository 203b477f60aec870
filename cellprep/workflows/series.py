"""Trainings of several networks, one after the other, in one folder; and the scores of what they learnt."""

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
    """Return the settings that the result depends on, as JSON has them."""
    return {name: as_json(value) for name, value in settings.items() if name not in MAY_CHANGE}


def changeable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run may change when it goes on."""
    return {name: value for name, value in settings.items() if name in MAY_CHANGE}


def begin_series(out: Path, name: str, recorded: Mapping[str, Any], val_ids: Sequence[str], **others: Any) -> None:
    """Make the folder of the runs, and record what they are.

    Raises
    ------
    UsageError
        If something is there already.
    OutputError
        If it cannot be written.
    """
    folder = RunFolder(out)
    folder.check_new()
    folder.make()
    content = {"options": {"network": name, **recorded}, "validation_images": [*val_ids], **others}
    write_whole(out / SETTINGS, json.dumps(content, indent=2) + "\n")


def take_up_series(out: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of before, as JSON has them; those given now must be the same.

    Raises
    ------
    UsageError
        If there are no such runs, or they differ.
    WeightsError
        If their file is damaged.
    """
    recorded = recorded_options(out, name)
    del recorded["network"]
    if different := [name for name, value in lasting(settings).items() if recorded.get(name) != value]:
        names = ", ".join(name.replace("_", " ") for name in different)
        raise UsageError(f"the run in {out} differs in {names}: leave these out to go on with it")
    return recorded


def validation_images(out: Path) -> list[str]:
    """Return the images that the networks of a folder are validated on."""
    return _recorded(out, "validation_images")


def recorded_origin(out: Path) -> list[dict[str, Any]]:
    """Return which weights the networks of a folder began with."""
    return _recorded(out, "origin")


def _recorded(out: Path, name: str) -> list[Any]:
    try:
        found = msgspec.json.decode((out / SETTINGS).read_bytes())[name]
        return msgspec.convert(found, list[Any])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise WeightsError(f"{out / SETTINGS} is damaged: begin again in another folder") from error


def options_in(out: Path, network: str, own: Mapping[str, Any], free: Mapping[str, Any]) -> TrainOptions:
    """Return the options of one network of several: those that it was begun with, else its own.

    Raises
    ------
    UsageError
        If they are not possible.
    """
    run = out / network
    if (run / SETTINGS).exists():
        return options_of(run, network, free)
    try:
        options = options_from({"network": network, "out": str(run), **own})
    except msgspec.MsgspecError as error:
        raise UsageError(f"an option has a value of another kind than it should have: {error}") from error
    return replace(options, **free)


def score(
    store: Store, bundle: Bundle, image_ids: Iterable[str], predicted: Path, free: Mapping[str, Any], **outputs: Any
) -> tuple[EvaluationReport | None, list[str]]:
    """Predict images, anew if an interrupted run left predictions; return scores if there are any, and problems."""
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
    """Return what is to be told of the data of each training."""
    return [f"{run.out.name}: {line}" for run in trained for line in run.notes_on_data()]


def all_metrics(trained: Iterable[TrainReport]) -> "DataFrame":
    """Return a table with a row per epoch of each ``network``, as `cellprep.read_metrics` reads it."""
    from pandas import concat

    tables = {run.out.name: run.to_dataframe() for run in trained}
    return concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)
