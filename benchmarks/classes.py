"""Accuracy of classes of cells on unseen images: ``python -m benchmarks.classes OUT``.

Generated images with three types of cells in each, and two folds of the Sartorius images under CELLPREP_TEST_DATA, of
one type each. Existing results in OUT are continued.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments import FOLDS, cellprep, prepare
from benchmarks.timing import table
from cellprep import open_store, score_classes, summarise_by_class
from cellprep.commands.demo import write_mixed
from cellprep.learn import Bundle, PredictionOptions, load_bundle
from cellprep.learn.prediction.instances import find_typed_instances, type_instances
from cellprep.learn.prediction.predictor import Predictor

IMAGES = 30  # generated
HOW = ["--classes", "--workers", 0, "--in-memory"]
MIXED = ["--crop", 160, "--epochs", 40, "--val-fraction", 0.2]
SARTORIUS = ["--init", "nuclei", "--max-lr", 3e-3, "--samples-per-epoch", 160]


def train(store: Path, run: Path, *options: object) -> None:
    """Train a semantic network with classes, or resume its training."""
    resume = ["--resume"] if (run / "run.json").exists() else []
    cellprep("train", "semseg", "--data", store, "--out", run, *HOW, *options, *resume)


def mixed(out: Path) -> Path:
    """Train on generated images, each with all types."""
    if not (out / "mixed.zarr").exists():
        cellprep("build-targets", write_mixed(out, count=IMAGES), "--out", out / "mixed.zarr")
    train(out / "mixed.zarr", out / "mixed-semseg", *MIXED)
    return out / "mixed.zarr"


def sartorius(out: Path) -> Path:
    """Train on each fold of the Sartorius images, starting from the weights for nuclei."""
    if not (out / "folds.csv").exists():
        prepare(out)
    for fold in range(FOLDS):
        options = [*SARTORIUS, "--epochs", 8, "--folds", out / "folds.csv", "--fold", fold]
        train(out / "data.zarr", out / f"sartorius-semseg-{fold}", *options)
    return out / "data.zarr"


def judge(store: Path, runs: Sequence[Path]) -> list[list[Any]]:
    """Return results of the networks of some runs on their validation images.

    The classes of true cells, from the probabilities inside each; those of predicted cells that match true ones at an
    IoU of .5, decoded with the vectors and levels of ``nuclei``; and those of whole images, by most of their cells.
    """
    opened = open_store(store)
    cells, found, answers = [], [], []
    for run in runs:
        bundle: Bundle = load_bundle("nuclei", run)
        predictor = Predictor(bundle, PredictionOptions(device="cpu", quiet=True))
        for image_id in json.loads((run / "run.json").read_text())["validation_images"]:
            image = opened[image_id]
            names = [image.metadata.categories[place] for place in image["cells"][:, 2]]
            labels = image["labels"]
            maps = predictor.predict(np.atleast_3d(image["image"]).transpose(2, 0, 1))
            there = np.unique(labels[labels > 0])
            of_cells = _types_of(maps.type_probabilities, labels, there)
            known = [names[label - 1] for label in there]
            cells.append(list(zip(known, (maps.types[place] for place in of_cells), strict=True)))
            instances = find_typed_instances(maps, predictor.decoding)
            found.append(score_classes(instances.labels, labels, instances.type_names or [], known))
            answers.append((max(set(known), key=known.count), maps.types[np.bincount(of_cells).argmax()]))
    summary = summarise_by_class(found)
    pairs = [pair for image in cells for pair in image]
    types = sorted({known for known, _ in pairs})
    rows = [[known, *(pairs.count((known, told)) for told in types)] for known in types]
    rows.append(["share right", f"{np.mean([known == told for known, told in pairs]):.3f}"])
    rows.append(["of matched cells", f"{summary['class_accuracy']:.3f}", json.dumps(summary["confusion"])])
    rows.append(["images", f"{np.mean([known == told for known, told in answers]):.3f}", f"of {len(answers)}"])
    return rows


def _types_of(probabilities: NDArray[np.uint8] | None, labels: NDArray[Any], there: NDArray[Any]) -> NDArray[np.intp]:
    assert probabilities is not None
    return type_instances(probabilities, np.searchsorted(there, labels, side="right") * (labels > 0))[0]


def main() -> None:
    """Train, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for title, store, runs in (
        ("Generated", mixed(out), [out / "mixed-semseg"]),
        ("Sartorius", sartorius(out), [out / f"sartorius-semseg-{fold}" for fold in range(FOLDS)]),
    ):
        rows = judge(store, runs)
        width = max(map(len, rows))
        lines = [[*map(str, row), *[""] * (width - len(row))] for row in rows]
        sys.stdout.write(table(title, ["true"] + ["told"] * (width - 1), lines) + "\n")


if __name__ == "__main__":
    main()
