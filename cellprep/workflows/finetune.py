"""Fine-tuning of the networks of a bundle on the user's images, with scores before and after."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.commands.evaluate import EvaluationReport
from cellprep.commands.report.finetuning import RESULT, report_finetuning
from cellprep.core.scores import ImageScore, summarise
from cellprep.core.targets import Recipe
from cellprep.errors import UsageError
from cellprep.learn.devices import choose_machine
from cellprep.learn.networks.kind import NETWORKS
from cellprep.learn.prediction.bundle import Bundle, as_bundle, find_weights, load_bundle, save_bundle, with_decoding
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS
from cellprep.learn.processes import joined, share
from cellprep.learn.training.first import agreed_normalisation, find_origins, first_network
from cellprep.learn.training.options import (
    DECIDED_BY_WEIGHTS,
    FINE_TUNING,
    OnlyNetworks,
    TrainOptions,
    as_named,
)
from cellprep.learn.training.plan import choose_and_check, learned_classes
from cellprep.learn.training.run import TrainReport, train
from cellprep.learn.training.runs import choose_folder, data_option
from cellprep.learn.weights import FINE_TUNED, Weights, load_all_weights, load_weights
from cellprep.store import Store, StoreLike, as_store
from cellprep.system.locks import held
from cellprep.system.options import taken, takes, unfolded
from cellprep.system.output import write_whole
from cellprep.system.places import is_place, local_path
from cellprep.text.notebook import notebook_html
from cellprep.text.score_table import score_table
from cellprep.text.wording import count, described
from cellprep.workflows.series import (
    all_metrics,
    begin_series,
    changeable,
    lasting,
    notes_on_data,
    options_in,
    recorded_origin,
    score,
    take_up_series,
    validation_images,
)

if TYPE_CHECKING:
    from pandas import DataFrame

_BEFORE, _AFTER = "before", "after"  # the folders of predictions, and the names of scores
_SHOWN = ("images", "kaggle_map", "ap", "truth", "predicted", "missed", "false", "merged", "split")
_LEVELS = ("0.50", "0.70", "0.90")
_FEW = 2  # images held out, for which a difference may be due to chance


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """The result of fine-tuning.

    Attributes
    ----------
    out
        The folder with a run for each network, which has its name.
    weights
        The initial weights, by name or path.
    trained
        The report of each network.
    bundle
        The file with all weights: the better ones of those before and after fine-tuning.
    before, after
        Scores of the predictions of the held-out images, as from `cellprep.core.scores.summarise`; None if there are
        none.
    by_image
        Kaggle's mean precision per held-out image, ``before`` and ``after``.
    held_out
        Number of held-out images; 0 if the scores are those of the training images.
    unknown
        Limits of the scores.
    problems
        Failures of prediction and scoring.
    tells
        Whether this process reports the result: only the first of several processes does.
    data
        The option with the store, for the next command.
    """

    out: Path
    weights: list[str]
    trained: list[TrainReport]
    bundle: Path
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    by_image: list[dict[str, Any]] = field(default_factory=list)
    held_out: int = 0
    unknown: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    tells: bool = True
    data: tuple[str, ...] = ()

    def __repr__(self) -> str:
        score = ""
        if self.before and self.after:
            score = f"; Kaggle's mean precision {self.before['kaggle_map']:.3f}, then {self.after['kaggle_map']:.3f}"
        return f"<FinetuneReport {self.out}: {count(len(self.trained), 'network')}{score}>"

    def _repr_html_(self) -> str:
        """Return a table of the notes for notebooks."""
        return notebook_html("FinetuneReport", [(str(self.out), [*self.notes(), *self.problems])])

    @property
    def is_better(self) -> bool:
        """True if the fine-tuned networks are at least as good as the initial ones, and therefore in the bundle."""
        return not (self.before and self.after) or self.after["kaggle_map"] >= self.before["kaggle_map"]

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per epoch of each ``network``, as from `cellprep.read_metrics`."""
        return all_metrics(self.trained)

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "weights": self.weights,
            "networks": [run.out.name for run in self.trained],
            "train_images": max(run.train_images for run in self.trained),
            "held_out": self.held_out,
            _BEFORE: self.before,
            _AFTER: self.after,
            "by_image": self.by_image,
            "bundle": str(self.bundle),
            "kept": _AFTER if self.is_better else _BEFORE,
            "unknown": self.unknown,
            "problems": self.problems,
        }

    def table(self) -> list[str]:
        """Return a table of the scores before and after."""
        if not (self.before and self.after):
            return []
        return score_table({_BEFORE: _in_short(self.before), _AFTER: _in_short(self.after)})

    def notes(self) -> list[str]:
        """Return lines on the result."""
        if not self.tells:
            return []
        names = ", ".join(run.out.name for run in self.trained)
        images = count(max(run.train_images for run in self.trained), "image")
        lines = [*notes_on_data(self.trained), f"{self.out}: {names} of {', '.join(self.weights)}, trained on {images}"]
        if self.before and self.after:
            lines.append(self._compared())
        return [
            *lines,
            *(f"note: {line}" for line in self.unknown),
            *([] if self.is_better else [self._warning()]),
            f"weights: {self.bundle}",
            f"next: {shlex.join(['cellprep', 'predict', '--weights', str(self.out), *self.data])}",
        ]

    def _compared(self) -> str:
        assert self.before and self.after
        changes = [image[_AFTER] - image[_BEFORE] for image in self.by_image]
        better, worse = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
        images = f"{count(self.held_out, 'image')} held out" if self.held_out else "the training images"
        return (
            f"on {images}: Kaggle's mean precision {self.before['kaggle_map']:.3f} before, "
            f"{self.after['kaggle_map']:.3f} after; {better:,} better, {worse:,} worse"
        )

    def _warning(self) -> str:
        names = [str(run.out) for run in self.trained]
        return (
            f"warning: fine-tuning lowered the score, so {self.bundle.name} contains the original weights; the "
            f"fine-tuned ones are in {', '.join(names)}. Add images, or try a lower --max-lr or fewer --epochs"
        )

    def errors(self) -> list[str]:
        """Return lines on failures after the trainings; failures of trainings are raised."""
        return self.problems


@takes(TrainOptions, but=DECIDED_BY_WEIGHTS)
def finetune(
    store: StoreLike,
    out: Path | str | None = None,
    weights: Path | str | Iterable[Path | str] | None = None,
    *,
    only: OnlyNetworks = (),
    resume: bool = False,
    **settings: Any,
) -> FinetuneReport:
    """Fine-tune the networks of a bundle on your images, and score the held-out images before and after.

    The better weights are bundled. A resumed run leaves finished networks unchanged, and continues the others.

    Parameters
    ----------
    store
        A store with images, or its path. A single image is used for both training and scoring; of several images, some
        are held out.
    out
        Folder of the runs, predictions, scores and the bundle; by default ``runs/finetune``, with a number appended if
        it exists, or the latest such folder to resume.
    weights
        Initial weights, by name or path, as in `cellprep.learn.load_bundle`; by default ``nuclei``.
    only
        Networks to train; by default all networks of the weights.
    resume
        Whether to resume an existing run.
    **settings
        Options of `TrainOptions`, which apply to every network; the kinds of networks depend on the weights.

    Returns
    -------
    FinetuneReport
        The result.

    Raises
    ------
    UsageError, WeightsError, TrainingError, OutputError
        As in `cellprep.learn.train`; also UsageError if the weights cannot predict instances, or lack a network to
        train.
    """
    store, settings = as_store(store), taken(unfolded(TrainOptions), settings)
    given: dict[str, Any] = dict(settings)
    if weights is not None or not resume:
        given["weights"] = _named(DEFAULT_WEIGHTS if weights is None else weights)
    if only or not resume:
        given["only"] = sorted(only)
    free = changeable(settings)
    machine = choose_machine(settings.get("device", "auto"), settings.get("precision") or "auto")
    with joined(machine.device) as here, ExitStack() as stack:
        writes = here.rank == 0
        chosen = local_path(out) if out else share(choose_folder(FINE_TUNING, resume=resume) if writes else None)
        assert chosen is not None
        recorded = take_up_series(chosen, FINE_TUNING, given) if resume else lasting(given)
        tuning = _Tuning(store, chosen, recorded, free)
        if resume:
            tuning.take_up()
        else:
            tuning.begin(writes)
        if writes:
            stack.enter_context(held(chosen))
        held_out = share(validation_images(chosen) if writes else [])
        # First, to find images that cannot be predicted before hours of training; other processes would not wait.
        before = tuning.score(tuning.bundle, held_out, _BEFORE) if here.count == 1 else None
        trained = [train(store, tuning.options(network)) for network in tuning.networks]
    place = chosen / FINE_TUNED
    if not writes:
        return FinetuneReport(chosen, recorded["weights"], trained, place, tells=False)
    before = before or tuning.score(tuning.bundle, held_out, _BEFORE)
    tuned = tuning.tuned()
    after = tuning.score(tuned, held_out, _AFTER)
    report = _report(tuning, trained, place, before, after)
    save_bundle(place, tuned if report.is_better else tuning.bundle)
    write_whole(chosen / RESULT, json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
    report_finetuning(chosen, chosen / "report.html")
    return report


_Scored = tuple[EvaluationReport | None, list[str]]


class _Tuning:
    """The bundle to fine-tune, and its options.

    Parameters
    ----------
    store
        The training data.
    out
        The folder of the runs.
    recorded
        The options that affect the result, as in JSON.
    free
        The options that a resumed run may change.

    Raises
    ------
    UsageError
        If the weights cannot predict instances, or lack a network to train.
    """

    def __init__(self, store: Store, out: Path, recorded: Mapping[str, Any], free: Mapping[str, Any]) -> None:
        self.store, self.out, self.free = store, out, free
        self.places: list[str] = recorded["weights"]
        self.settings = {name: value for name, value in recorded.items() if name not in ("weights", "only")}
        self.bundle = load_bundle(self.places)
        self._parts = {part.settings.name: part for part in self.bundle.parts}
        if not self.bundle.tells_instances:
            raise UsageError(
                f"{', '.join(self.places)}: a dn alone cannot predict instances, so the effect of fine-tuning would "
                "be unknown: give the weights of a wtn, too, or use `cellprep train dn --init`"
            )
        if len(self._parts) < len(self.bundle.parts):
            raise UsageError(
                f"{', '.join(self.places)} contain several networks of the same kind: fine-tune one of each"
            )
        self.only: list[str] = recorded["only"]
        self.networks = [name for name in NETWORKS if name in self._parts and (not self.only or name in self.only)]
        if missing := [name for name in self.only if name not in self._parts]:
            raise UsageError(f"{', '.join(self.places)} contain no {missing[0]}, only {', '.join(self._parts)}")

    def begin(self, writes: bool) -> None:
        """Check that all networks can be trained, and record their initial weights.

        Raises
        ------
        UsageError
            If the store does not fit the weights.
        """
        asked = [self.settings.get(name) for name in ("val_fraction", "val_ids", "folds")]
        if self._images() == 1 and asked == [None, None, None]:
            self.settings["val_fraction"] = 0
        checked: list[tuple[list[str], Recipe]] = []
        origins = []
        for network in self.networks:
            options = self.options(network)
            _, val_ids, together = choose_and_check(self.store, options)
            begins = find_origins(options)
            origins += [origin.to_dict() for origin in begins]
            agreed_normalisation(options, begins)
            classes = learned_classes(self.store, options, begins, together)
            first_network(options, begins, together.channels or 1, together.recipe.levels, classes)
            checked.append((val_ids, together.recipe))
        recipe = checked[0][1]
        if recipe.shrink != self.bundle.shrink and len(self.networks) < len(self._parts):
            store, weights = (
                f"at 1/{by} of their size" if by > 1 else "at full size" for by in (recipe.shrink, self.bundle.shrink)
            )
            raise UsageError(
                f"{self.store.path} has its images {store}, but the networks that --only leaves unchanged see them "
                f"{weights}: omit --only, or use a store with images {weights}"
            )
        as_bundle(replace(part, recipe=recipe) if name in self.networks else part for name, part in self._parts.items())
        if writes:
            val_ids = max((ids for ids, _ in checked), key=len)
            recorded = {"weights": self.places, "only": self.only, **self.settings}
            begin_series(self.out, FINE_TUNING, recorded, val_ids, origin=origins, store=str(self.store.path))

    def take_up(self) -> None:
        """Check that the initial weights are the same as at the start.

        Raises
        ------
        UsageError
            If their files have changed.
        """
        before = recorded_origin(self.out)
        for name in self.networks:
            for origin in find_origins(self.options(name)):
                if origin.to_dict() not in before:
                    raise UsageError(
                        f"{origin} has changed since {self.out} was started: start again in another folder"
                    )

    def _images(self) -> int:
        return sum("image" in image.arrays for image in self.store.values())

    def options(self, network: str) -> TrainOptions:
        """Return the options of one network."""
        part, kind = self._parts[network], NETWORKS[network]
        own = {**self.settings, "init": [self._place_of(network)]}
        if "mask" in kind.options:
            own["mask"] = part.mask
        if "background_cell" in kind.options:
            own["background_cell"] = part.recipe.background_cell
        # A semantic network may start to learn classes; for other networks without classes, cells keep their vectors.
        begins = bool(own.pop("classes", False)) and kind.tells_classes
        if begins or part.settings.classes:
            own["classes"] = True
        return options_in(self.out, network, own, self.free)

    def _place_of(self, network: str) -> str:
        """Return the path of a network's weights: as it was given, if it is a single file."""
        for place in self.places:
            files = find_weights(place)
            for file in files:
                if network in [part.settings.name for part in load_all_weights(file)]:
                    return place if len(files) == 1 else str(file)
        raise AssertionError(network)  # the bundle has its weights

    def tuned(self) -> Bundle:
        """Return the bundle with the trained weights and the same decoding as before."""
        parts: list[Weights] = [
            load_weights(self.out / name) if name in self.networks else part for name, part in self._parts.items()
        ]
        return with_decoding(as_bundle(parts), self.bundle.decoding)

    def score(self, bundle: Bundle, image_ids: Sequence[str], name: str) -> _Scored:
        """Predict images, and score them."""
        report, problems = score(self.store, bundle, image_ids, self.out / name, self.free, overlay=True)
        if report:
            report.write_csv(self.out / f"{name}.csv")
        return report, problems


def _report(
    tuning: _Tuning, trained: list[TrainReport], place: Path, before: _Scored, after: _Scored
) -> FinetuneReport:
    scores = [_scores(report) for report, _ in (before, after)]
    common = [image_id for image_id in scores[0] if image_id in scores[1]]  # without images that failed on one side
    before_all, after_all = (
        summarise([found[image_id] for image_id in common]) if common else None for found in scores
    )
    by_image = [
        {
            "image": image_id,
            _BEFORE: scores[0][image_id].kaggle_precision,
            _AFTER: scores[1][image_id].kaggle_precision,
        }
        for image_id in common
    ]
    held_out = max(run.val_images for run in trained)
    return FinetuneReport(
        tuning.out,
        tuning.places,
        trained,
        place,
        before_all,
        after_all,
        by_image,
        held_out,
        [*_unknown(held_out), *_by_true_masks(tuning)],
        list(dict.fromkeys([*before[1], *after[1]])),
        data=data_option(tuning.store.path),
    )


def _scores(report: EvaluationReport | None) -> dict[str, ImageScore]:
    return {image.image_id: score for image, score in report.scored} if report else {}


def _unknown(held_out: int) -> list[str]:
    """Return lines on the limits of scores of few images."""
    if held_out == 0:
        return [
            "no image is held out: the scores are those of the training images, and the effect on other images is "
            "unknown; annotate one more image"
        ]
    if held_out <= _FEW:
        return [
            f"with only {count(held_out, 'image')} held out, the effect on other images is uncertain: hold out more "
            "with --val-fraction or --val-ids, or use --folds"
        ]
    return []


def _by_true_masks(tuning: _Tuning) -> list[str]:
    if tuning.bundle.semseg:
        return []
    return [f"{', '.join(tuning.places)} contain no semseg: the true masks were used for both scores"]


def _named(weights: Any) -> list[str]:
    places = [weights] if is_place(weights) or not isinstance(weights, Iterable) else [*weights]
    if not places or not all(map(is_place, places)):
        raise UsageError(f"weights must be a name, or one or several paths, not {described(weights)}")
    return [*map(as_named, places)]


def _in_short(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: scores[name] for name in _SHOWN} | {"ap": {level: scores["ap"][level] for level in _LEVELS}}
