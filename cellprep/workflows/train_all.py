"""Training of all networks, one after the other: from a store to a bundle with scores on the validation images."""

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.errors import UsageError
from cellprep.learn.devices import choose_machine
from cellprep.learn.networks.kind import NETWORKS
from cellprep.learn.prediction.bundle import END_TO_END, SEMANTIC, load_bundle, save_bundle
from cellprep.learn.processes import joined, share
from cellprep.learn.training.first import first_network
from cellprep.learn.training.options import ALL, ALL_FOLDS, OF_SOME, TrainOptions
from cellprep.learn.training.plan import choose_and_check
from cellprep.learn.training.run import TrainReport, train
from cellprep.learn.training.runs import choose_folder, data_option
from cellprep.learn.weights import BUNDLE
from cellprep.store import Store, StoreLike, as_store
from cellprep.system.locks import held
from cellprep.system.options import taken, takes, unfolded
from cellprep.system.places import local_path
from cellprep.text.notebook import notebook_html
from cellprep.text.wording import count
from cellprep.workflows.series import (
    all_metrics,
    begin_series,
    changeable,
    lasting,
    notes_on_data,
    options_in,
    score,
    take_up_series,
    validation_images,
)

if TYPE_CHECKING:
    from pandas import DataFrame

# A network that starts from trained networks takes one epoch for this many of theirs.
_FEWER = 5

# Options that it does not have, as the trained networks determine them.
_DECIDED = ("encoder", "max_lr")


@dataclass(frozen=True, slots=True)
class AllReport:
    """The result of training all networks.

    Attributes
    ----------
    out
        The folder with a run for each network, which has its name.
    trained
        The report of each training.
    bundle
        The file with all weights.
    scores
        Scores of the bundle's predictions on the validation images, as from `cellprep.evaluate`.
    problems
        Failures of predicting and scoring the validation images.
    tells
        Whether this process reports the result: only the first of several processes does.
    data
        The option with the store, for the next command.
    """

    out: Path
    trained: list[TrainReport]
    bundle: Path
    scores: dict[str, Any]
    problems: list[str]
    tells: bool = True
    data: tuple[str, ...] = ()

    def __repr__(self) -> str:
        overall = self.scores.get("overall")
        score = f"; Kaggle's mean precision {overall['kaggle_map']:.3f}" if overall else ""
        return f"<AllReport {self.out}: {count(len(self.trained), 'network')}{score}>"

    def _repr_html_(self) -> str:
        """Return a table of the notes for notebooks."""
        return notebook_html("AllReport", [(str(self.out), [*self.notes(), *self.problems])])

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per epoch of each ``network``, as from `cellprep.read_metrics`."""
        return all_metrics(self.trained)

    def notes(self) -> list[str]:
        """Return lines on the result."""
        if not self.tells:
            return []
        lines = notes_on_data(self.trained)
        lines.append(f"{self.out}: {', '.join(NETWORKS)}, trained on {count(self.trained[0].train_images, 'image')}")
        if overall := self.scores.get("overall"):
            levels = ", ".join(f"{overall['ap'][level]:.3f} at IoU {level}" for level in ("0.50", "0.70", "0.90"))
            images = count(self.scores["images"], "validation image")
            lines.append(f"on {images}: Kaggle's mean precision {overall['kaggle_map']:.3f}; AP {levels}")
        return [
            *lines,
            f"weights: {self.bundle}",
            f"next: {shlex.join(['cellprep', 'predict', '--weights', str(self.out), *self.data])}",
        ]

    def errors(self) -> list[str]:
        """Return lines on failures after the trainings; failures of trainings are raised."""
        return self.problems


@takes(TrainOptions, but=("network",))
def train_all(store: StoreLike, out: Path | str | None = None, *, resume: bool = False, **settings: Any) -> AllReport:
    """Train ``semseg``, ``dn``, ``wtn``, and from the last two ``wn``; bundle them, and score the validation images.

    A resumed run leaves finished networks unchanged, and continues the others.

    Parameters
    ----------
    store
        A store with images, or its path.
    out
        Folder of the runs; by default ``runs/all``, with a number appended if it exists, or the latest such folder to
        resume.
    resume
        Whether to resume an existing run.
    **settings
        Options of `TrainOptions`, which apply to every network that has them; ``classes`` applies only to ``semseg``.
        The WN starts from the DN and the WTN, and is trained at a rate of 1e-4 for a fifth of the epochs.

    Raises
    ------
    UsageError, WeightsError, TrainingError, OutputError
        As in `cellprep.learn.train`.
    """
    if settings.get("fold") in (ALL, ALL_FOLDS):
        raise UsageError("--fold all trains only one kind of network: name it instead of all")
    if settings.get("init"):
        raise UsageError("--init gives initial weights to only one network: name it instead of all")
    store, settings = as_store(store), taken(unfolded(TrainOptions), settings)
    machine = choose_machine(settings.get("device", "auto"), settings.get("precision") or "auto")
    with joined(machine.device) as here, ExitStack() as stack:
        writes = here.rank == 0
        chosen = local_path(out) if out else share(choose_folder(ALL, resume=resume) if writes else None)
        assert chosen is not None
        free = changeable(settings)
        recorded = take_up_series(chosen, ALL, settings) if resume else _begin(store, chosen, settings, writes)
        if writes:
            stack.enter_context(held(chosen))
        trained = [train(store, _options(network, chosen, recorded, free)) for network in NETWORKS]
    bundle = chosen / BUNDLE
    if not writes:
        return AllReport(chosen, trained, bundle, {}, [], tells=False)
    networks = load_bundle([chosen / END_TO_END], chosen / SEMANTIC)
    save_bundle(bundle, networks)
    report, problems = score(store, networks, validation_images(chosen), chosen / "predictions", free)
    if report:
        report.write_csv(chosen / "scores.csv")
    return AllReport(chosen, trained, bundle, report.scores if report else {}, problems, data=data_option(store.path))


def _begin(store: Store, out: Path, settings: Mapping[str, Any], writes: bool) -> dict[str, Any]:
    """Record the options that affect the result, as in JSON, after checking that they suit all networks."""
    recorded = lasting(settings)
    for network in NETWORKS:
        _options(network, out, recorded, {})
    strictest = max(NETWORKS, key=lambda name: len(NETWORKS[name].options))  # options that suit it also suit the others
    options = _options(strictest, out, recorded, {})
    _, val_ids, together = choose_and_check(store, options)
    if recorded.get("classes"):
        choose_and_check(store, _options(SEMANTIC, out, recorded, {}))
    if options.encoder:  # otherwise an unsuitable file would be found after hours
        first_network(options, [], together.channels, together.recipe.levels)
    if writes:
        begin_series(out, ALL, recorded, val_ids, store=str(store.path))
    return recorded


def _options(network: str, out: Path, recorded: Mapping[str, Any], free: Mapping[str, Any]) -> TrainOptions:
    """Return the options of one network: those of its existing run, or by default the common options that it has."""
    kind = NETWORKS[network]
    absent = {*OF_SOME}.difference(kind.options).union(_DECIDED if kind.parts else ())
    absent |= (
        set() if kind.tells_classes else {"classes"}
    )  # vectors learned with true classes are worse with predicted classes
    own = {name: value for name, value in recorded.items() if name not in absent}
    if recorded.get("encoder") and not own.get("arch"):
        own["arch"] = "published"
    if own.get("arch") not in kind.architectures:
        own.pop("arch", None)
    if kind.parts:
        epochs = own.get("epochs") or TrainOptions(network).epochs or 0
        own |= {"init": [str(out / part) for part in kind.parts], "epochs": max(1, epochs // _FEWER)}
    return options_in(out, network, own, free)
