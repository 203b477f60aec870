"""Tuning by class: search for the best decoding of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cellprep.core.scores import ImageScore
from cellprep.core.scores.image import NO_CELLS
from cellprep.errors import UsageError
from cellprep.learn.prediction.bundle import Bundle, save_bundle, with_decoding
from cellprep.learn.prediction.tuning import (
    FEWEST_IMAGES,
    Choice,
    TuneOptions,
    candidates,
    choose,
    rounds,
    survivors,
    value_in_class,
)
from cellprep.learn.settings import Decoding
from cellprep.learn.weights import BUNDLE
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import count, printable
from cellprep.workflows.trial import COLUMNS, TABLE, Given, Trial, describe


@dataclass(frozen=True, slots=True)
class TunedClass:
    """The result of tuning for a class.

    Attributes
    ----------
    name
        The class.
    images, cells
        Numbers of images with true cells of the class, and of these cells.
    decoding
        The decoding of its cells from now on.
    choice
        The best candidate; None if too few images have true cells of the class.
    tried
        Candidates that were tried on all images, best first, with their scores.
    """

    name: str
    images: int
    cells: int
    decoding: Decoding
    choice: Choice | None
    tried: Sequence[tuple[Decoding, Mapping[str, float]]]

    @property
    def is_gain(self) -> bool:
        """True if its decoding has changed."""
        return self.choice is not None and self.choice.is_gain

    @property
    def row(self) -> dict[str, Any]:
        """The result, by name."""
        found = self.choice
        return {
            "class": self.name,
            "images": self.images,
            "cells": self.cells,
            "before": found.before if found else None,
            "after": (found.score if found.is_gain else found.before) if found else None,
            "checked": found.checked if found else None,
            "decoding": describe(self.decoding),
        }


@dataclass(frozen=True)
class ClassTuneReport(Report):
    """The result of tuning by class.

    Attributes
    ----------
    out
        Folder of the weights, and of the table of all candidates.
    score
        The score that was maximised.
    decoding
        The decoding that the weights have now.
    classes
        The result for each class that the weights predict.
    before, after
        Mean of the score over classes with true cells, all decoded together, before and after tuning.
    strangers
        True classes that the weights do not predict.
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
    classes: Sequence[TunedClass]
    before: float
    after: float
    strangers: Sequence[str]
    images: int
    candidates: int
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_gain(self) -> bool:
        """True if tuning is a gain with all classes decoded together."""
        return self.after > self.before

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The result for each class."""
        return [found.row for found in self.classes]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "score": self.score,
            "before": self.before,
            "after": self.after if self.is_gain else self.before,
            "decoding": self.decoding.to_dict(),
            "images": self.images,
            "candidates": self.candidates,
            "by_class": self.rows,
            "weights": str(self.out / BUNDLE),
            "failures": dict(self.failures),
        }

    def table(self) -> list[str]:
        """Return a table of the result for each class."""
        names = ["images", "cells", "before", "after", "checked", "decoding"]
        cells = [[_shown(row[name]) for name in names] for row in self.rows]
        return text_table(
            ["class", *names], [[printable(row["class"]), *c] for row, c in zip(self.rows, cells, strict=True)]
        )

    def notes(self) -> list[str]:
        """Return lines on the result and its value."""
        lines = [f"{count(self.candidates, 'decoding')} tried on {count(self.images, 'image')}, class by class"]
        few = [printable(found.name) for found in self.classes if found.choice is None]
        if few:
            lines.append(f"not tuned, as fewer than {FEWEST_IMAGES} images have true cells of them: {', '.join(few)}")
        if self.strangers:
            lines.append(f"true classes that the weights do not predict: {', '.join(map(printable, self.strangers))}")
        lines.append(
            f"mean {self.score} over classes, decoded together: before {self.before:.3f}, now {self.after:.3f}"
        )
        gained = [found for found in self.classes if found.is_gain]
        if not gained:
            lines.append(
                "kept: the decoding of all classes, as no candidate is better on images not used for the choice"
            )
        elif not self.is_gain:
            lines.append("kept: the decoding of all classes, as the best candidates together are not better")
        return [*lines, f"weights: {self.out / BUNDLE}", f"all candidates: {self.out / TABLE}"]

    def _tried(self) -> int:
        return self.images + len(self.failures)

    def _aftermath(self) -> str:
        return ", and were not scored"


def tune_classes(
    bundle: Bundle, images: Given, faulty: dict[str, str], out: Path, options: TuneOptions
) -> ClassTuneReport:
    """Find the best decoding of each class, as described in `cellprep.learn.tune`, which also lists the errors."""
    names = bundle.types
    if not names:
        raise UsageError("these weights predict no classes: tuning by class needs a semseg trained with --classes")
    every = list({one.key: replace(one, by_class={}) for one in _all_candidates(bundle, options)}.values())
    place_of = {one.key: place for place, one in enumerate(every)}
    own = {name: place_of[bundle.decoding.of(name).key] for name in names}
    trial = Trial(bundle, options, images, out, every, by_class=True)
    with trial.begun():
        places = {name: [own[name], *(at for at in range(len(every)) if at != own[name])] for name in names}
        scores: dict[str, list[Mapping[str, ImageScore]]] = {}
        for members in rounds([*images]):
            wanted = sorted({at for found in places.values() for at in found})
            scores, failed = trial.scores(wanted, members)
            faulty |= failed
            if not scores:
                raise UsageError(f"no image could be scored; {members[0]}: {failed[members[0]]}")
            at_of = {at: position for position, at in enumerate(wanted)}
            of_class = {name: _of_class(scores, name, [at_of[at] for at in places[name]]) for name in names}
            if len(members) < len(images):
                for name, found in of_class.items():
                    kept = survivors([value_in_class(values, options.score) for values in found])
                    places[name] = [places[name][position] for position in kept]
        tuned = [_tuned(name, [every[at] for at in places[name]], of_class[name], options.score) for name in names]
        of_gains = {one.name: one.decoding for one in tuned if one.is_gain}
        new = replace(bundle.decoding, by_class=dict(sorted({**bundle.decoding.by_class, **of_gains}.items())))
        both = trial.together([bundle.decoding, new], [*scores])
        before, after = (_mean(one, names, options.score) for one in both)
        decoding = new if after > before else bundle.decoding
        save_bundle(out / BUNDLE, with_decoding(bundle, decoding))
        trial.write_table(["class", "decoding", "images"], _rows(trial, names))
    told = {name for one in scores.values() for name, score in one[0].items() if score.truth}
    return ClassTuneReport(
        out=out,
        score=options.score,
        decoding=decoding,
        classes=tuned,
        before=before,
        after=after,
        strangers=sorted(told.difference(names)),
        images=len(scores),
        candidates=len(every),
        failures=faulty,
    )


def _all_candidates(bundle: Bundle, options: TuneOptions) -> list[Decoding]:
    """Return the candidates, including the present decoding of each class."""
    return [*(bundle.decoding.of(name) for name in bundle.types), *candidates(bundle.decoding, options.decoders)]


def _of_class(
    scores: Mapping[str, Sequence[Mapping[str, ImageScore]]], name: str, positions: Sequence[int]
) -> list[list[ImageScore]]:
    """Return the scores of a class in all images by candidate, with images that have true cells of it first.

    Then both halves, of every second image, have such images and are similar. An image without cells of the class on
    either side has an empty score, which `value_in_class` leaves out.
    """
    images = sorted(scores.values(), key=lambda found: not _truth(found, name))
    return [[found[position].get(name, NO_CELLS) for found in images] for position in positions]


def _truth(of_candidates: Sequence[Mapping[str, ImageScore]], name: str) -> int:
    """Return the number of true cells of a class in an image; it is the same for all candidates."""
    return max((found[name].truth for found in of_candidates if name in found), default=0)


def _tuned(name: str, ways: Sequence[Decoding], scores: Sequence[Sequence[ImageScore]], by: str) -> TunedClass:
    truth = [max(one.truth for one in image) for image in zip(*scores, strict=True)]
    images = sum(map(bool, truth))
    tried = [(way, _values(found)) for way, found in zip(ways, scores, strict=True)]
    choice = choose(scores, by, value_in_class) if images >= FEWEST_IMAGES else None
    decoding = ways[choice.place] if choice and choice.is_gain else ways[0]
    return TunedClass(name, images, sum(truth), decoding, choice, sorted(tried, key=lambda pair: -pair[1][by]))


def _mean(images: Sequence[Mapping[str, ImageScore]], names: Sequence[str], by: str) -> float:
    """Return the mean of a score over the classes with true cells."""
    found = {name: [image[name] for image in images if name in image] for name in names}
    values = [value_in_class(scores, by) for scores in found.values() if any(score.truth for score in scores)]
    return sum(values) / len(values) if values else 0.0


def _rows(trial: Trial, names: Sequence[str]) -> list[list[Any]]:
    """Return the rows of the table of all candidates, class by class, those tried on most images first."""
    known = sorted(((at, trial.known(at)) for at in range(len(trial.every))), key=lambda pair: -len(pair[1]))
    return [
        [name, describe(trial.every[at]), len(found), *_values([one.get(name, NO_CELLS) for one in found]).values()]
        for name in names
        for at, found in known
        if found
    ]


def _values(scores: Sequence[ImageScore]) -> dict[str, float]:
    return {name: value_in_class(scores, name) for name in COLUMNS}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)
