"""Tuning: how maps are decoded best, found on images whose cells are known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cellprep.core.scores import ImageScore
from cellprep.errors import UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.learn.prediction.bundle import Bundle, load_bundle, save_bundle, with_decoding
from cellprep.learn.prediction.given import find_given, find_runs
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS
from cellprep.learn.prediction.tuning import Choice, TuneOptions, candidates, choose, rounds, survivors, value_of
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import BUNDLE
from cellprep.store import Store, StoreLike, as_store
from cellprep.system.options import options_of, takes
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import count
from cellprep.workflows.trial import COLUMNS, TABLE, Trial, describe, values_of
from cellprep.workflows.tune_classes import ClassTuneReport, tune_classes

_SHOWN = 10  # rows of the table that is printed


@dataclass(frozen=True)
class TuneReport(Report):
    """What tuning found.

    Attributes
    ----------
    out
        Folder of the weights, and of the table of all that was tried.
    score
        What was made as large as possible.
    decoding
        How the weights decode from now on.
    choice
        The best candidate, its score, and that of the weights before.
    tried
        Ways of decoding that were tried on all images, the best first, with their scores.
    images
        Number of images.
    candidates
        Number of ways of decoding that were tried.
    failures
        Per image that was left out what is wrong with it.
    """

    out: Path
    score: str
    decoding: Decoding
    choice: Choice
    tried: Sequence[tuple[Decoding, Mapping[str, float]]]
    images: int
    candidates: int
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Per way of decoding that was tried on all images its scores."""
        return [{"decoding": describe(decoding), **scores} for decoding, scores in self.tried]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "score": self.score,
            "before": self.choice.before,
            "after": self.choice.score if self.choice.is_gain else self.choice.before,
            "checked": self.choice.checked,
            "decoding": self.decoding.to_dict(),
            "images": self.images,
            "candidates": self.candidates,
            "tried": self.rows,
            "weights": str(self.out / BUNDLE),
            "failures": dict(self.failures),
        }

    def table(self) -> list[str]:
        """Lay out the best ways of decoding."""
        rows = [
            [describe(decoding), *(f"{scores[name]:.3f}" for name in COLUMNS)]
            for decoding, scores in self.tried[:_SHOWN]
        ]
        return text_table(["decoding", *COLUMNS], rows)

    def notes(self) -> list[str]:
        """Return what was found, and what it is worth."""
        choice = self.choice
        checked = "" if choice.checked is None else f"; on images that the choice did not see {choice.checked:.3f}"
        lines = [
            f"{count(self.candidates, 'way')} of decoding tried on {count(self.images, 'image')}",
            f"{self.score} before {choice.before:.3f}, best {choice.score:.3f}{checked}",
        ]
        if choice.is_gain:
            lines.append(f"chosen: {describe(self.decoding)}")
        else:
            where = " on images that the choice did not see" if choice.place else ""
            lines.append(f"kept: {describe(self.decoding)}, as nothing is better{where}")
        return [*lines, f"weights: {self.out / BUNDLE}", f"all that was tried: {self.out / TABLE}"]

    def _tried(self) -> int:
        return self.images + len(self.failures)

    def _aftermath(self) -> str:
        return ", and count in no score"


@takes(TuneOptions)
def tune(
    store: StoreLike,
    out: Path | str,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    options: TuneOptions | None = None,
    **keywords: Any,
) -> TuneReport | ClassTuneReport:
    """Find the decoder, and the values of its options, that bring back the cells of a store best.

    Maps are predicted once. Many ways of decoding are tried on few images, the best third of them on three times as
    many, and so on. The weights are written with the best one, unless it is no better on images that the choice did not
    see. The same call goes on where it was interrupted. With ``by_class=True`` the best way is found for each class of
    cells, by the scores of its cells alone.

    Parameters
    ----------
    store
        A store with images, or its path.
    out
        Folder to write: the weights, and tables of all that was tried.
    weights
        As `cellprep.learn.predict` takes them, with a semseg. Of trainings, the images that they were validated on are
        taken; else all of the store.
    options
        What is tried.
    **keywords
        The fields of `TuneOptions` by name.

    Raises
    ------
    UsageError
        If the weights tell no instances, or no classes where these are asked for, there are no images, or `out` holds
        something else.
    WeightsError, StoreError, OutputError
        If weights or the store cannot be read, or `out` cannot be written.
    """
    options = options_of(TuneOptions, options, keywords)
    opened, out = as_store(store), local_path(out)
    bundle, images, faulty = _given(opened, weights, options.only)
    if options.by_class:
        return tune_classes(bundle, images, faulty, out, options)
    trial = Trial(bundle, options, images, out, candidates(bundle.decoding, options.decoders))
    with trial.begun():
        return _tune(trial, bundle, images, faulty, out, options)


def _tune(
    trial: Trial,
    bundle: Bundle,
    images: Mapping[str, Any],
    faulty: dict[str, str],
    out: Path,
    options: TuneOptions,
) -> TuneReport:
    places = list(range(len(trial.every)))
    scores: dict[str, list[ImageScore]] = {}
    for members in rounds([*images]):
        scores, failed = trial.scores(places, members)
        faulty |= failed
        if not scores:
            raise UsageError(f"no image could be scored; {members[0]}: {failed[members[0]]}")
        if len(members) < len(images):
            places = [places[at] for at in survivors([value_of(found, options.score) for found in _turned(scores)])]
    of_each = _turned(scores)
    choice = choose(of_each, options.score)
    chosen = replace(trial.every[places[choice.place]], by_class=bundle.decoding.by_class)
    decoding = chosen if choice.is_gain else bundle.decoding
    save_bundle(out / BUNDLE, with_decoding(bundle, decoding))
    every = sorted(enumerate(map(trial.known, range(len(trial.every)))), key=lambda pair: -len(pair[1]))
    trial.write_table(
        ["decoding", "images"],
        [[describe(trial.every[at]), len(found), *values_of(found).values()] for at, found in every],
    )
    tried = [(trial.every[place], values_of(found)) for place, found in zip(places, of_each, strict=True)]
    return TuneReport(
        out=out,
        score=options.score,
        decoding=decoding,
        choice=choice,
        tried=sorted(tried, key=lambda pair: -pair[1][options.score]),
        images=len(scores),
        candidates=len(trial.every),
        failures=faulty,
    )


def _given(
    store: Store, weights: Bundle | Path | str | Iterable[Path | str], only: Sequence[str]
) -> tuple[Bundle, dict[str, tuple[InputImage, ImageRecord]], dict[str, str]]:
    """Return the weights, the images with what is known of their cells, and what is wrong with other images."""
    places = [] if isinstance(weights, Bundle) else [weights] if isinstance(weights, (str, Path)) else [*weights]
    bundle = weights if isinstance(weights, Bundle) else load_bundle(places)
    if not bundle.tells_instances or bundle.semseg is None:
        raise UsageError(
            "tuning needs weights that find cells by themselves: those of a semseg, and of a wn, or of a dn and a wtn"
        )
    inputs = {image.id: image for image in find_given(bundle, None, find_runs(places), None, store.path).images}
    if unknown := [name for name in only if name not in inputs]:
        raise UsageError(f"image {unknown[0]!r} is not among those that are tuned on")
    images, faulty = {}, {}
    for record in CellprepStore(store.path).images():
        name = record.image_id
        if name not in inputs or (only and name not in only):
            continue
        if isinstance(record, FaultyImage) or inputs[name].pixels is None:
            faulty[name] = record.problem if isinstance(record, FaultyImage) else inputs[name].problem
        else:
            images[name] = inputs[name], record
    if not images:
        raise UsageError(f"{store.path} has no image with pixels to tune on: build it with images")
    return bundle, images, faulty


def _turned(scores: Mapping[str, Sequence[ImageScore]]) -> list[list[ImageScore]]:
    """Return per candidate its score of each image."""
    return [list(found) for found in zip(*scores.values(), strict=True)]
