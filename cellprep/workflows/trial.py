"""Trial of many decoding candidates on images with known cells: resumable, with predicted maps on disk."""

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.core.scores import ImageScore, score_classes, score_image
from cellprep.errors import UsageError
from cellprep.formats.annotations.record import ImageRecord
from cellprep.learn.prediction.bundle import Bundle
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.instances import Instances, find_typed_instances, type_instances
from cellprep.learn.prediction.maps import PredictedMaps, decode_maps, leave_out_small
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.prediction.tuning import TuneOptions, value_of
from cellprep.learn.settings import Decoding
from cellprep.system.executor import Failed, run_tasks
from cellprep.system.output import write_whole
from cellprep.system.progress import progress_bar

TABLE = "tuning.csv"
COLUMNS = ("kaggle_map", "ap50", "ap75", "pq", "aji")
Given = Mapping[str, tuple[InputImage, ImageRecord]]  # by id, the image and its annotations

_MAPS = ".maps-"
_PROGRESS = "tuning.jsonl"  # a line for each scored image, after one that identifies the tuning


def describe(decoding: Decoding) -> str:
    """Describe how maps are decoded.

    Examples
    --------
    >>> describe(Decoding("tops", 30, {"depth": 2}))
    'tops depth=2 min_area=30'
    """
    options = (f"{name}={value:g}" for name, value in decoding.options.items())
    return " ".join([decoding.decoder, *options, f"min_area={decoding.min_area}"])


@dataclass(frozen=True, slots=True)
class Task:
    """An image whose maps, at the scale of the networks' input, are decoded by many candidates."""

    image_id: str
    maps: Path
    scale: Scale | None  # of the networks' input, if it differs from the image's
    truth: ImageRecord
    decodings: tuple[Decoding, ...]


def score_all(task: Task) -> list[ImageScore]:
    """Return the score of each candidate."""
    truth = task.truth.load()

    def score(maps: PredictedMaps, labels: Any) -> ImageScore:
        return score_image(task.scale.labels(labels)[0] if task.scale else labels, truth.runs, truth.ignore)

    return _decoded(task, score)


def score_each_class(task: Task) -> list[Mapping[str, ImageScore]]:
    """Return the scores of each candidate by class, for the classes that either side has."""
    truth = task.truth.load()

    def score(maps: PredictedMaps, labels: Any) -> Mapping[str, ImageScore]:
        assert maps.type_probabilities is not None
        found = Instances(labels, 0, maps.types, *type_instances(maps.type_probabilities, labels))
        return _score_classes(task, found, truth)

    return _decoded(task, score)


def score_together(task: Task) -> list[Mapping[str, ImageScore]]:
    """Return the same as `score_each_class`, for candidates with their own decoding of each class."""
    maps, truth = _load(task.maps), task.truth.load()
    return [_score_classes(task, find_typed_instances(maps, decoding), truth) for decoding in task.decodings]


def _score_classes(task: Task, found: Instances, truth: Any) -> Mapping[str, ImageScore]:
    shown = found.at_scale_of_image(task.scale)[0] if task.scale else found
    return score_classes(shown.labels, truth.runs, shown.type_names or [], truth.cell_types, truth.ignore).of_class


def _decoded(task: Task, score: Callable[[PredictedMaps, Any], Any]) -> list[Any]:
    """Return the score of each candidate; candidates that differ only in the minimum area share one decoding."""
    maps = _load(task.maps)
    found: dict[int, Any] = {}
    numbered = sorted(enumerate(task.decodings), key=lambda pair: (*_decoder_of(pair[1]), pair[1].min_area))
    for _, group in groupby(numbered, key=lambda pair: _decoder_of(pair[1])):
        labels = None
        for place, decoding in group:  # by ascending minimum area: removed cells stay removed
            labels = decode_maps(maps, decoding) if labels is None else labels
            leave_out_small(labels, decoding.min_area)
            found[place] = score(maps, labels)
    return [found[place] for place in range(len(task.decodings))]


def _decoder_of(decoding: Decoding) -> tuple[str, str]:
    return decoding.decoder, json.dumps(decoding.options, sort_keys=True)


def _save(path: Path, maps: PredictedMaps) -> None:
    values = {one.name: getattr(maps, one.name) for one in fields(maps)}
    np.savez(path, **{name: value for name, value in values.items() if value is not None})


def _load(path: Path) -> PredictedMaps:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    types, walls_known = tuple(arrays.pop("types").tolist()), bool(arrays.pop("walls_known"))
    return PredictedMaps(**arrays, types=types, walls_known=walls_known)


class Trial:
    """The scores of images by candidate: computed, or read from an interrupted run.

    Parameters
    ----------
    bundle
        The weights.
    options
        The options of tuning.
    images
        The images.
    out
        Folder to write.
    every
        The candidates.
    by_class
        Whether there is a score for each class.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: TuneOptions,
        images: Given,
        out: Path,
        every: Sequence[Decoding],
        *,
        by_class: bool = False,
    ) -> None:
        self.every, self.by_class = every, by_class
        self._bundle, self._options, self._images, self._folder = bundle, options, images, out
        self._path = out / _PROGRESS
        self._known: dict[str, dict[int, Any]] = {name: {} for name in images}  # by index of the candidate
        self._maps: dict[str, tuple[Path, Scale | None]] = {}
        self._store: Path | None = None

    @contextmanager
    def begun(self) -> Iterator["Trial"]:
        """Continue in the folder, or create it; it contains maps until the end."""
        self._begin()
        for left in self._folder.glob(f"{_MAPS}*"):  # left by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._store = Path(tempfile.mkdtemp(prefix=_MAPS, dir=self._folder))
        try:
            yield self
        finally:
            shutil.rmtree(self._store, ignore_errors=True)

    def _begin(self) -> None:
        first = {"of": self._digest()}
        if self._path.exists():
            *lines, cut = self._path.read_bytes().split(b"\n")
            told = list(map(_read, lines))
            if not told or told[0] != first:
                raise UsageError(
                    f"{self._folder} is a tuning with other weights, images or options: choose another folder (--out)"
                )
            for line in filter(None, told[1:]):  # scores of unreadable lines are computed again
                self._known[line["image"]] |= dict(zip(line["places"], map(_told, line["scores"]), strict=True))
            if cut:
                self._path.write_bytes(b"".join(line + b"\n" for line in lines))
            return
        if self._folder.exists() and any(self._folder.iterdir()):
            raise UsageError(f"{self._folder} is not empty: choose another folder (--out)")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps(first) + "\n")

    def scores(self, places: Sequence[int], image_ids: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, str]]:
        """Return the scores of some candidates by image, and the problems of failed images."""
        wanted = {name: [at for at in places if at not in self._known[name]] for name in image_ids}
        wanted = {name: missing for name, missing in wanted.items() if missing}
        score = score_each_class if self.by_class else score_all
        outcomes, failed = self._scored(score, {name: [self.every[at] for at in wanted[name]] for name in wanted})
        with self._path.open("ab") as file:
            for task, found in outcomes:
                name = task.image_id
                if isinstance(found, Failed):
                    failed[name] = found.problem
                    continue
                self._known[name] |= dict(zip(wanted[name], found, strict=True))
                line = {"image": name, "places": wanted[name], "scores": [_tell(one) for one in found]}
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
        return {name: [self._known[name][at] for at in places] for name in image_ids if name not in failed}, failed

    def together(self, decodings: Sequence[Decoding], image_ids: Sequence[str]) -> list[list[Mapping[str, ImageScore]]]:
        """Return each image's scores by class, for each candidate with its own decoding of each class."""
        outcomes, _ = self._scored(score_together, dict.fromkeys(image_ids, decodings))
        found = {task.image_id: scores for task, scores in outcomes if not isinstance(scores, Failed)}
        return [[found[name][at] for name in image_ids if name in found] for at in range(len(decodings))]

    def _scored(
        self, score: Callable[[Task], Any], wanted: Mapping[str, Sequence[Decoding]]
    ) -> tuple[Iterator[tuple[Task, Any]], dict[str, str]]:
        """Return the outcomes of images as they are ready, and the problems of images that cannot be predicted."""
        failed = self._predict([name for name in wanted if name not in self._maps])
        tasks = [
            Task(name, *self._maps[name], self._images[name][1], tuple(decodings))
            for name, decodings in wanted.items()
            if name in self._maps
        ]
        jobs, quiet = self._options.jobs, self._options.quiet
        return run_tasks(score, tasks, done="decoded", jobs=jobs, total=len(tasks), quiet=quiet), failed

    def known(self, at: int) -> list[Any]:
        """Return the scores of a candidate for all images on which it was tried."""
        return [known[at] for known in self._known.values() if at in known]

    def write_table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write the table of all candidates."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*columns, *COLUMNS])
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
        write_whole(self._folder / TABLE, text.getvalue())

    def _predict(self, image_ids: Sequence[str]) -> dict[str, str]:
        """Predict the maps of images, at the scale of the weights; return the problems of failed images."""
        failed: dict[str, str] = {}
        if not image_ids:
            return failed
        assert self._store
        how = PredictionOptions(device=self._options.device, precision=self._options.precision, quiet=True)
        predictor = Predictor(self._bundle, how)
        with progress_bar(len(image_ids), "image", quiet=self._options.quiet) as bar:
            for name in image_ids:
                try:
                    image, _ = self._images[name]
                    pixels = image.load()
                    scale = predictor.scale(pixels, image.pixels.sides() if image.pixels else None, image.shrunk)
                    path = self._store / f"{len(self._maps)}.npz"
                    _save(path, predictor.look(pixels, None, scale))
                    self._maps[name] = path, scale
                except Exception as error:  # noqa: BLE001 - one failed image does not stop the others
                    failed[name] = Failed.of(error).problem
                bar.update()
        return failed

    def _digest(self) -> str:
        """Return a SHA-256, in hex, of everything that determines the scores."""
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
            *([self._bundle.types] if self.by_class else []),
        ]
        found.update(json.dumps(told).encode())
        return found.hexdigest()


def values_of(scores: Sequence[ImageScore]) -> dict[str, float]:
    """Return the scores of a set of images by name."""
    return {name: value_of(scores, name) for name in COLUMNS}


def _read(line: bytes) -> dict[str, Any]:
    """Return the content of a line; empty if it was truncated."""
    try:
        told: Any = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _tell(score: ImageScore | Mapping[str, ImageScore]) -> dict[str, Any]:
    """Return a score for JSON, without the detections of COCO's AP, as instances of a label image have no scores."""
    if isinstance(score, Mapping):
        return {"by_class": {name: _tell(one) for name, one in score.items()}}
    return {name: value for name, value in asdict(score).items() if name != "detections"}


def _told(values: Mapping[str, Any]) -> Any:
    """Return the score from the result of `_tell`."""
    if "by_class" in values:
        return {name: _told(one) for name, one in values["by_class"].items()}
    parts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return ImageScore(**parts, detections=None)
