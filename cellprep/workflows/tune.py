"""Tuning: search for the best decoding of maps on images with known cells."""

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

_SHOWN = 10  # rows of the printed table


@dataclass(frozen=True)
class TuneReport(Report):
    """The result of tuning.

    Attributes
    ----------
    out
        Folder of the weights, and of the table of all candidates.
    score
        The score that was maximised.
    decoding
        The decoding that the weights have now.
    choice
        The best candidate, its score, and the previous score of the weights.
    tried
        Candidates that were tried on all images, best first, with their scores.
    images
        Number of images.
    candidates
        Number of candidates.
    failures
        The problem of each image that was left out.
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
        """The scores of each candidate that was tried on all images."""
        return [{"decoding": describe(decoding), **scores} for decoding, scores in self.tried]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
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
        """Return a table of the best candidates."""
        rows = [
            [describe(decoding), *(f"{scores[name]:.3f}" for name in COLUMNS)]
            for decoding, scores in self.tried[:_SHOWN]
        ]
        return text_table(["decoding", *COLUMNS], rows)

    def notes(self) -> list[str]:
        """Return lines on the result and its value."""
        choice = self.choice
        checked = "" if choice.checked is None else f"; on images not used for the choice {choice.checked:.3f}"
        lines = [
            f"{count(self.candidates, 'decoding')} tried on {count(self.images, 'image')}",
            f"{self.score} before {choice.before:.3f}, best {choice.score:.3f}{checked}",
        ]
        if choice.is_gain:
            lines.append(f"chosen: {describe(self.decoding)}")
        else:
            where = " on images not used for the choice" if choice.place else ""
            lines.append(f"kept: {describe(self.decoding)}, as no candidate is better{where}")
        return [*lines, f"weights: {self.out / BUNDLE}", f"all candidates: {self.out / TABLE}"]

    def _tried(self) -> int:
        return self.images + len(self.failures)

    def _aftermath(self) -> str:
        return ", and were not scored"


@takes(TuneOptions)
def tune(
    store: StoreLike,
    out: Path | str,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    options: TuneOptions | None = None,
    **keywords: Any,
) -> TuneReport | ClassTuneReport:
    """Find the decoder and the values of its options that recover the cells of a store best.

    Maps are predicted once. Many candidates are tried on a few images, the best third of them on three times as many
    images, and so on. The weights are written with the best candidate if it is also better on images that were not used
    for the choice. Repeat the call to resume an interrupted tuning. With ``by_class=True``, the best decoding is found
    for each class, by the scores of its cells only.

    Parameters
    ----------
    store
        A store with images, or its path.
    out
        Folder to write: the weights, and tables of all candidates.
    weights
        Weights as in `cellprep.learn.predict`, with a semseg. The images are the validation images of trainings, or for
        other weights all images of the store.
    options
        Options of tuning.
    **keywords
        The fields of `TuneOptions` by name.

    Raises
    ------
    UsageError
        If the weights cannot predict instances, or the requested classes, if there are no images, or if `out` has other
        content.
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
    """Return the weights, the images with their annotations, and the problems of other images."""
    places = [] if isinstance(weights, Bundle) else [weights] if isinstance(weights, (str, Path)) else [*weights]
    bundle = weights if isinstance(weights, Bundle) else load_bundle(places)
    if not bundle.tells_instances or bundle.semseg is None:
        raise UsageError(
            "tuning needs weights that find cells without a given mask: a semseg, and a wn or a dn and a wtn"
        )
    inputs = {image.id: image for image in find_given(bundle, None, find_runs(places), None, store.path).images}
    if unknown := [name for name in only if name not in inputs]:
        raise UsageError(f"image {unknown[0]!r} is not one of the images for tuning")
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
    """Return the score of each image by candidate."""
    return [list(found) for found in zip(*scores.values(), strict=True)]
