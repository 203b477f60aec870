"""Scores by number of annotated images: ``python -m benchmarks.finetune OUT``.

Networks are trained on 1, 3, 10 and 30 images under CELLPREP_TEST_DATA: starting from the weights ``nuclei``, and from
scratch. Each point sees the same number of crops, so that all cost about the same. The images in
``validation_ids.txt`` are only used for scoring. Existing results in OUT are continued.
``--only TEXT`` computes the points whose names contain the text. The table and the chart show the existing points.
"""

import argparse
import csv
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import table
from cellprep import build_targets, open_source, open_store
from cellprep.learn import Bundle, load_bundle, train, with_decoding
from cellprep.learn.prediction.bundle import as_bundle
from cellprep.learn.weights import load_weights
from cellprep.workflows.series import score

CHART = Path(__file__).parent.parent / "docs" / "finetuning.webp"
SETS = {"bbbc039": "BBBC039, nuclei, fluorescence", "usiigaci": "Usiigaci, branched cells, phase contrast"}
SHRINK = {"usiigaci": 2}  # its cells are 51 pixels across, those of BBBC039 28
IMAGES = (3, 10, 1, 30)  # the most informative ones first
WEIGHTS = "nuclei"
FROM = (WEIGHTS, "nothing")
WORDS = {WEIGHTS: WEIGHTS, "nothing": "random weights"}
SHOWN = {"kaggle_map": "Kaggle's mean precision", "0.50": "AP at .5", "0.70": ".7", "0.90": ".9"}


@dataclass(frozen=True)
class Point:
    """Networks trained on some images; for 0 images, the initial weights."""

    data: str
    images: int
    first: str = WEIGHTS

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.data}-{self.images}-{self.first}"


POINTS = [Point(data, 0) for data in SETS] + [
    Point(data, images, first) for images in IMAGES for data in SETS for first in FROM
]


def prepare(out: Path, name: str) -> list[str]:
    """Build the store of all images of a set; return the ids of the training images in random order."""
    data = Path(os.environ["CELLPREP_TEST_DATA"]) / name
    held_out = held_out_of(name)
    if not (out / f"{name}.zarr").exists():
        build_targets(
            open_source(data / "masks"),
            out / f"{name}.zarr",
            images=data / "images",
            shrink=SHRINK.get(name, 1),
            jobs=1,
            quiet=True,
        )
    others = sorted({*open_store(out / f"{name}.zarr")}.difference(held_out))
    return [others[place] for place in np.random.default_rng(0).permutation(len(others))]


def held_out_of(name: str) -> list[str]:
    """Return the ids of the images to score."""
    text = (Path(os.environ["CELLPREP_TEST_DATA"]) / name / "validation_ids.txt").read_text()
    return sorted(text.split())


def networks(out: Path, point: Point, crops: int) -> Bundle:
    """Train the networks of a point, or resume their trainings."""
    given = load_bundle(WEIGHTS)
    if not point.images:
        return given
    folder, chosen = out / point.name, prepare(out, point.data)[: point.images]
    folder.mkdir(exist_ok=True)
    with (folder / "folds.csv").open("w", newline="") as file:  # one of the held-out images, as training needs some
        rows = [*((image, 1) for image in chosen), (held_out_of(point.data)[0], 0)]
        csv.writer(file).writerows([("image", "fold"), *rows])
    trained = []
    for part in given.parts:
        its = part.settings
        own: dict[str, Any] = {"init": WEIGHTS}
        if point.first != WEIGHTS:
            own = {"arch": its.arch, "base_channels": its.base_channels, "max_lr": 3e-3 if its.arch == "unet" else 1e-3}
            own |= {"normalisation": part.normalisation.kind} if part.normalisation else {}
        run = folder / its.name
        how = {"epochs": 1, "samples_per_epoch": crops, "workers": 0, "device": "cpu", "quiet": True}
        which = {"folds": folder / "folds.csv", "fold": 0, "out": run, "resume": (run / "run.json").exists()}
        train(open_store(out / f"{point.data}.zarr"), its.name, **own, **how, **which)
        trained.append(load_weights(run))
    return with_decoding(as_bundle(trained), given.decoding)


def measure(out: Path, point: Point, crops: int) -> None:
    """Train and score a point, unless it is done already."""
    file = out / f"{point.name}.json"
    if file.exists():
        return
    started = time.process_time()
    prepare(out, point.data)
    bundle = networks(out, point, crops)
    store = open_store(out / f"{point.data}.zarr")
    report, problems = score(
        store, bundle, held_out_of(point.data), out / f"{point.name}-predicted", {"device": "cpu", "quiet": True}
    )
    assert report and not problems, problems
    seconds = time.process_time() - started  # of this run; an interrupted one took longer
    file.write_text(json.dumps({"crops": crops, "seconds": seconds, **report.scores["overall"]}, indent=2) + "\n")


def found(out: Path) -> dict[Point, dict[str, Any]]:
    """Return the existing points."""
    files = {point: out / f"{point.name}.json" for point in POINTS}
    return {point: json.loads(file.read_text()) for point, file in files.items() if file.exists()}


def rows(points: dict[Point, dict[str, Any]]) -> list[list[str]]:
    """Return the rows of the table."""
    ordered = sorted(points, key=lambda point: (point.data, point.images, point.first))
    lines = []
    for point in ordered:
        scores = points[point]
        values = [scores["kaggle_map"], *(scores["ap"][level] for level in [*SHOWN][1:])]
        lines.append([SETS[point.data], str(point.images), WORDS[point.first], *(f"{value:.3f}" for value in values)])
    return lines


def draw(points: dict[Point, dict[str, Any]], path: Path) -> None:
    """Draw Kaggle's mean precision over the number of images, with a panel for each set."""
    from matplotlib.figure import Figure

    shown = [data for data in SETS if any(point.data == data and point.images for point in points)]
    figure = Figure(figsize=(4.6 * len(shown), 3.8), dpi=120, layout="constrained")
    for axes, data in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        for first, colour, mark in zip(FROM, ("#0072b2", "#d55e00"), ("o", "s"), strict=True):
            its = sorted(
                (point.images, scores["kaggle_map"])
                for point, scores in points.items()
                if (point.data, point.first) == (data, first) and point.images
            )
            axes.plot(*zip(*its, strict=True), color=colour, marker=mark, label=f"from {WORDS[first]}") if its else None
        if as_it_is := points.get(Point(data, 0)):
            axes.axhline(as_it_is["kaggle_map"], color="0.4", linestyle="--", label=f"{WEIGHTS} as it is")
        axes.set(xscale="log", xticks=sorted(IMAGES), xlabel="annotated images", title=SETS[data])
        axes.set_xticks(sorted(IMAGES), [str(number) for number in sorted(IMAGES)])
        axes.minorticks_off()
        axes.set_xlim(0.8, 38)
        highest = max(scores["kaggle_map"] for point, scores in points.items() if point.data == data)
        axes.set_ylim(0, min(1, 1.3 * highest))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.axes[0].set_ylabel("Kaggle's mean precision")
    figure.savefig(path)


def main() -> None:
    """Measure, print the table, and draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--crops", type=int, default=1280, help="crops that each network sees")
    parser.add_argument("--only", default="", help="measure the points whose names contain this")
    parser.add_argument("--chart", type=Path, default=None, help=f"chart to draw, such as {CHART.name}")
    parser.add_argument("--table", action="store_true", help="print existing results, without training")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for point in [] if given.table else POINTS:
        if given.only in point.name:
            measure(given.out, point, given.crops)
    points = found(given.out)
    sys.stdout.write(table("Held-out images", ["data", "images", "from", *SHOWN.values()], rows(points)) + "\n")
    if given.chart and points:
        draw(points, given.chart)


if __name__ == "__main__":
    main()
