"""All networks one after the other: from a store to a bundle, with its scores on the validation images."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cellprep.annotations import open_source
from cellprep.errors import OutputError, UsageError, WeightsError
from cellprep.evaluation import EvaluationOptions, evaluate
from cellprep.learn.prediction.bundle import load_bundle, save_bundle
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.run import predict
from cellprep.learn.processes import processes
from cellprep.learn.settings import ARCHITECTURES
from cellprep.learn.training.folder import SETTINGS, choose_folder
from cellprep.learn.training.options import ALL, FREE, TrainOptions, plain
from cellprep.learn.training.run import TrainReport, train
from cellprep.output import write_whole
from cellprep.store import Store
from cellprep.wording import count

__all__ = ["AllReport", "train_all"]

_ORDER = ("semseg", "dn", "wtn", "wn")

# Options that some of the networks do not have, or that decide them otherwise.
_ONLY_FOR = {"mask": ("dn", "wn"), "background_cell": ("dn", "wn"), "encoder": ("dn",), "max_lr": _ORDER[:3]}

# The WN starts from a DN and a WTN that are trained: it takes one epoch for so many of theirs.
_FEWER = 5


@dataclass(frozen=True, slots=True)
class AllReport:
    """What came of training all networks.

    Attributes
    ----------
    out
        The folder of the runs, one for each network, named by it.
    trained
        What came of each.
    bundle
        The file with all weights.
    scores
        Scores of its predictions on the validation images, as `cellprep.evaluate` has them.
    problems
        What failed in predicting and scoring the validation images.
    tells
        Whether this process is to tell of it: the first of several.
    """

    out: Path
    trained: list[TrainReport]
    bundle: Path
    scores: dict[str, Any]
    problems: list[str]
    tells: bool = True

    def notes(self) -> list[str]:
        """Return what is to be told."""
        if not self.tells:
            return []
        lines = [f"{self.out}: {', '.join(_ORDER)}, trained on {count(self.trained[0].train_images, 'image')}"]
        if overall := self.scores["overall"]:
            levels = ", ".join(f"{overall['ap'][level]:.3f} at IoU {level}" for level in ("0.50", "0.70", "0.90"))
            images = count(self.scores["images"], "validation image")
            lines.append(f"on {images}: Kaggle's mean precision {overall['kaggle_map']:.3f}; AP {levels}")
        return [
            *lines,
            f"weights: {self.bundle}",
            f"next: cellprep predict IMAGES --weights {self.bundle}",
        ]

    def errors(self) -> list[str]:
        """Return what failed after the trainings; one that fails raises."""
        return self.problems


def train_all(store: Store, out: Path | str | None = None, *, resume: bool = False, **settings: Any) -> AllReport:
    """Train ``semseg``, ``dn``, ``wtn``, and from these ``wn``; bundle them, and score the validation images.

    All that is finished is left alone if it is resumed, and what was interrupted goes on.

    Parameters
    ----------
    store
        From `cellprep.open_store`, with images.
    out
        Folder of the runs; ``runs/all``, or with a number behind it, unless given. If it is resumed, the newest one.
    resume
        Whether to go on with what is there.
    **settings
        Options of `TrainOptions`, which hold for every network that has them. The WN is trained on from the DN and
        the WTN, at a rate of 1e-4 and for a fifth of the epochs.

    Raises
    ------
    UsageError, WeightsError, TrainingError, OutputError
        As `cellprep.learn.train`.
    """
    if settings.get("init"):
        raise UsageError("--init gives first weights to one network: name it instead of all")
    here = processes()
    if out is None and here.count > 1:
        raise UsageError("several processes need a folder that all of them know: give --out")
    writes = here.rank == 0
    chosen = choose_folder(ALL, resume=resume) if out is None else Path(out)
    free = {name: value for name, value in settings.items() if name in FREE}
    recorded = _take_up(chosen, settings) if resume else _begin(chosen, settings, writes)
    trained: list[TrainReport] = []
    for network in _ORDER:
        trained.append(train(store, _options(network, chosen, {**recorded, **free})))
    bundle = chosen / "cells.safetensors"
    if not writes:
        return AllReport(chosen, trained, bundle, {}, [], tells=False)
    save_bundle(bundle, load_bundle([chosen / "wn"], chosen / "semseg"))
    return AllReport(chosen, trained, bundle, *_score(store, chosen, free))


def _begin(out: Path, settings: Mapping[str, Any], writes: bool) -> dict[str, Any]:
    """Record the options that the result depends on; values are as JSON has them."""
    recorded = {name: plain(value) for name, value in settings.items() if name not in FREE}
    if not writes:
        return recorded
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty: --resume goes on with a run of {ALL}; or give another --out")
    for network in _ORDER:  # what is wrong is said before the first training
        _options(network, out, recorded)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error
    write_whole(out / SETTINGS, json.dumps({"options": {"network": ALL, **recorded}}, indent=2) + "\n")
    return recorded


def _take_up(out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of before; those given now must be the same."""
    file = out / SETTINGS
    try:
        recorded = json.loads(file.read_text(encoding="utf-8"))["options"]
        network = recorded.pop("network")
    except FileNotFoundError:
        raise UsageError(f"there is no run in {out} to go on with: leave --resume out to begin one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{file} is damaged: begin again in another folder") from error
    if network != ALL:
        raise UsageError(f"the run in {out} trains {network}, not {ALL}: name it, or give another --out")
    given = {name: plain(value) for name, value in settings.items() if name not in FREE}
    if different := [name for name, value in given.items() if recorded.get(name) != value]:
        raise UsageError(f"the run in {out} differs in {', '.join(different)}: leave these out to go on with it")
    return dict(recorded)


def _options(network: str, out: Path, settings: Mapping[str, Any]) -> TrainOptions:
    own = {name: value for name, value in settings.items() if network in _ONLY_FOR.get(name, _ORDER)}
    if own.get("arch") not in ARCHITECTURES[network]:
        own.pop("arch", None)
    if network == "wn":
        own |= {"init": [str(out / "dn"), str(out / "wtn")], "epochs": max(1, own.get("epochs", 50) // _FEWER)}
    run = out / network
    given = {"network": network, "out": str(run), "resume": (run / SETTINGS).exists(), **own}
    return msgspec.convert(given, TrainOptions, dec_hook=lambda _, value: Path(value))


def _score(store: Store, out: Path, free: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Predict the validation images, anew if an interrupted run left predictions; return scores, and problems."""
    predicted = out / "predictions"
    shutil.rmtree(predicted, ignore_errors=True)
    quiet = bool(free.get("quiet"))
    options = PredictionOptions(device=free.get("device", "auto"), quiet=quiet)
    prediction = predict(None, out / "wn", predicted, semseg_weights=out / "semseg", data=store.path, options=options)
    found = open_source(predicted)
    only = tuple(found.image_ids)
    report = evaluate(found, open_source(store.path), EvaluationOptions(only=only, quiet=quiet))
    report.write_csv(out / "scores.csv")
    return report.scores, [*prediction.errors(), *report.errors()]
