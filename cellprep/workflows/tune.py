"""Tuning: how maps are decoded best, found on images whose cells are known."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from cellprep.core.scores import ImageScore, score_image
from cellprep.errors import UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.learn.prediction.bundle import Bundle, load_bundle, save_bundle, with_decoding
from cellprep.learn.prediction.given import find_given, find_runs
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.maps import PredictedMaps, decode_maps, leave_out_small
from cellprep.learn.prediction.options import DEFAULT_WEIGHTS, PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.prediction.tuning import Choice, TuneOptions, candidates, choose, rounds, survivors, value_of
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import BUNDLE
from cellprep.store import Store, StoreLike, as_store
from cellprep.system.executor import Failed, run_tasks
from cellprep.system.options import options_of, takes
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.system.progress import progress_bar
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import count

_PROGRESS = "tuning.jsonl"  # a line for each image that was scored, after one that says of what
_TABLE = "tuning.csv"
_SHOWN = 10  # rows of the table that is printed
_COLUMNS = ("kaggle_map", "ap50", "ap75", "pq", "aji")


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
            "decoding": asdict(self.decoding),
            "images": self.images,
            "candidates": self.candidates,
            "tried": self.rows,
            "weights": str(self.out / BUNDLE),
            "failures": dict(self.failures),
        }

    def table(self) -> list[str]:
        """Lay out the best ways of decoding."""
        rows = [
            [describe(decoding), *(f"{scores[name]:.3f}" for name in _COLUMNS)]
            for decoding, scores in self.tried[:_SHOWN]
        ]
        return text_table(["decoding", *_COLUMNS], rows)

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
        return [*lines, f"weights: {self.out / BUNDLE}", f"all that was tried: {self.out / _TABLE}"]

    def _tried(self) -> int:
        return self.images + len(self.failures)

    def _aftermath(self) -> str:
        return ", and count in no score"


def describe(decoding: Decoding) -> str:
    """Say how maps are decoded.

    Examples
    --------
    >>> describe(Decoding("tops", 30, {"depth": 2}))
    'tops depth=2 min_area=30'
    """
    options = (f"{name}={value:g}" for name, value in decoding.options.items())
    return " ".join([decoding.decoder, *options, f"min_area={decoding.min_area}"])


@takes(TuneOptions)
def tune(
    store: StoreLike,
    out: Path | str,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    options: TuneOptions | None = None,
    **keywords: Any,
) -> TuneReport:
    """Find the decoder, and the values of its options, that bring back the cells of a store best.

    Maps are predicted once. Many ways of decoding are tried on few images, the best third of them on three times as
    many, and so on. The weights are written with the best one, unless it is no better on images that the choice did not
    see. The same call goes on where it was interrupted.

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
        If the weights tell no instances, there are no images, or `out` holds something else.
    WeightsError, StoreError, OutputError
        If weights or the store cannot be read, or `out` cannot be written.
    """
    options = options_of(TuneOptions, options, keywords)
    opened, out = as_store(store), local_path(out)
    bundle, images, faulty = _given(opened, weights, options.only)
    trial = _Trial(bundle, options, images, out)
    trial.begin()
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
    decoding = trial.every[places[choice.place]] if choice.is_gain else bundle.decoding
    save_bundle(out / BUNDLE, with_decoding(bundle, decoding))
    trial.write_table()
    tried = [(trial.every[place], _values(found)) for place, found in zip(places, of_each, strict=True)]
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


def _values(scores: Sequence[ImageScore]) -> dict[str, float]:
    return {name: value_of(scores, name) for name in _COLUMNS}


@dataclass(frozen=True, slots=True)
class _Task:
    """An image whose maps, at the scale that the networks saw, are decoded in many ways."""

    image_id: str
    maps: PredictedMaps
    scale: Scale | None  # at which networks saw it, if it is not its own
    truth: ImageRecord
    decodings: tuple[Decoding, ...]


def _score_all(task: _Task) -> list[ImageScore]:
    """Return the score of each way of decoding; those that differ in the least area alone decode once."""
    truth = task.truth.load()
    found: dict[int, ImageScore] = {}
    numbered = sorted(enumerate(task.decodings), key=lambda pair: (*_decoder_of(pair[1]), pair[1].min_area))
    for _, group in groupby(numbered, key=lambda pair: _decoder_of(pair[1])):
        labels = None
        for place, decoding in group:  # by ascending least area: what is left out stays out
            labels = decode_maps(task.maps, decoding) if labels is None else labels
            leave_out_small(labels, decoding.min_area)
            shown = task.scale.labels(labels)[0] if task.scale else labels
            found[place] = score_image(shown, truth.runs, truth.ignore)
    return [found[place] for place in range(len(task.decodings))]


def _decoder_of(decoding: Decoding) -> tuple[str, str]:
    return decoding.decoder, json.dumps(decoding.options, sort_keys=True)


class _Trial:
    """The scores of images by ways of decoding: computed, or read where an interrupted run left them.

    Attributes
    ----------
    every
        The ways of decoding, that of the weights first.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: TuneOptions,
        images: Mapping[str, tuple[InputImage, ImageRecord]],
        out: Path,
    ) -> None:
        self.every = candidates(bundle.decoding, options.decoders)
        self._bundle, self._options, self._images, self._folder = bundle, options, images, out
        self._path = out / _PROGRESS
        self._known: dict[str, dict[int, ImageScore]] = {name: {} for name in images}  # by place of the candidate
        self._maps: dict[str, tuple[PredictedMaps, Scale | None]] = {}

    def begin(self) -> None:
        """Take up what is in the folder, or make it."""
        first = {"of": self._digest()}
        if self._path.exists():
            *lines, cut = self._path.read_bytes().split(b"\n")
            told = list(map(_read, lines))
            if not told or told[0] != first:
                raise UsageError(
                    f"{self._folder} is a tuning of other weights, images or options: choose another folder (--out)"
                )
            for line in filter(None, told[1:]):  # of what cannot be read, scores are computed again
                self._known[line["image"]] |= dict(zip(line["places"], map(_told, line["scores"]), strict=True))
            if cut:
                self._path.write_bytes(b"".join(line + b"\n" for line in lines))
            return
        if self._folder.exists() and any(self._folder.iterdir()):
            raise UsageError(f"{self._folder} is not empty: choose another folder (--out)")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps(first) + "\n")

    def scores(
        self, places: Sequence[int], image_ids: Sequence[str]
    ) -> tuple[dict[str, list[ImageScore]], dict[str, str]]:
        """Return per image the scores of some candidates, and what is wrong with those that fail."""
        wanted = {name: [at for at in places if at not in self._known[name]] for name in image_ids}
        wanted = {name: missing for name, missing in wanted.items() if missing}
        failed = self._predict([name for name in wanted if name not in self._maps])
        tasks = [
            _Task(name, *self._maps[name], self._images[name][1], tuple(self.every[at] for at in wanted[name]))
            for name in wanted
            if name in self._maps
        ]
        outcomes = run_tasks(
            _score_all, tasks, done="decoded", jobs=self._options.jobs, total=len(tasks), quiet=self._options.quiet
        )
        with self._path.open("ab") as file:
            for task, found in outcomes:
                name = task.image_id
                if isinstance(found, Failed):
                    failed[name] = found.problem
                    continue
                self._known[name] |= dict(zip(wanted[name], found, strict=True))
                line = {"image": name, "places": wanted[name], "scores": [_tell(score) for score in found]}
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
        return {name: [self._known[name][at] for at in places] for name in image_ids if name not in failed}, failed

    def write_table(self) -> None:
        """Write all that was tried, those on most images first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["decoding", "images", *_COLUMNS])
        found = [[known[at] for known in self._known.values() if at in known] for at in range(len(self.every))]
        for at in sorted(range(len(self.every)), key=lambda at: -len(found[at])):
            values = (f"{value:.6g}" for value in _values(found[at]).values())
            writer.writerow([describe(self.every[at]), len(found[at]), *values])
        write_whole(self._folder / _TABLE, text.getvalue())

    def _predict(self, image_ids: Sequence[str]) -> dict[str, str]:
        """Predict the maps of images, at the scale of the weights; return what is wrong with those that fail."""
        failed: dict[str, str] = {}
        if not image_ids:
            return failed
        how = PredictionOptions(device=self._options.device, precision=self._options.precision, quiet=True)
        predictor = Predictor(self._bundle, how)
        with progress_bar(len(image_ids), "image", quiet=self._options.quiet) as bar:
            for name in image_ids:
                try:
                    image, _ = self._images[name]
                    pixels = image.load()
                    scale = predictor.scale(pixels, image.pixels.sides() if image.pixels else None, image.shrunk)
                    self._maps[name] = predictor.look(pixels, None, scale), scale
                except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are tuned on
                    failed[name] = Failed.of(error).problem
                bar.update()
        return failed

    def _digest(self) -> str:
        """Return a SHA-256, in hex, of all that scores follow from."""
        found = hashlib.sha256()
        for part in self._bundle.parts:
            for name, tensor in sorted(part.network.state_dict().items()):
                found.update(name.encode() + tensor.cpu().numpy().tobytes())
        told = [
            [(name, record.fingerprint()) for name, (_, record) in self._images.items()],
            [describe(decoding) for decoding in self.every],
            self._options.precision,
            self._bundle.pixel_size,
            *([self._bundle.shrink] if self._bundle.shrink > 1 else []),
        ]
        found.update(json.dumps(told).encode())
        return found.hexdigest()


def _read(line: bytes) -> dict[str, Any]:
    """Return what a line says; nothing if it was cut."""
    try:
        told: Any = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _tell(score: ImageScore) -> dict[str, Any]:
    """Return a score as JSON has it; a label image's instances have no scores of their own, for COCO's AP."""
    return {name: value for name, value in asdict(score).items() if name != "detections"}


def _told(values: Mapping[str, Any]) -> ImageScore:
    """Return the score that `_tell` gave this of."""
    parts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return ImageScore(**parts, detections=None)
