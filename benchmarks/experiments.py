"""The author's findings, repeated on pairs of images and annotations: ``python -m benchmarks.experiments OUT``.

Two folds of the Sartorius images under CELLPREP_TEST_DATA; each image is predicted by networks that were not trained on
it. Existing results in OUT are continued.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.timing import table
from cellprep import DECODERS, evaluate, open_source, open_store
from cellprep.learn import load_weights, validation_loader
from cellprep.learn.data.samples import CropSettings

FOLDS = 2
NOTHING = ["--arch", "unet", "--base-channels", 16, "--max-lr", "1e-3"]  # options without initial weights
BORDER = 16  # pixels


@dataclass(frozen=True)
class Trained:
    """A direction network, and the store that it was trained on."""

    name: str
    pretrained: bool = True
    store: str = "data.zarr"
    options: tuple[str, ...] = ()


DIRECTIONS = [
    Trained("dn"),
    Trained("dn-cells", options=("--mask", "cells")),
    Trained("dn-scratch", pretrained=False),
    Trained("dn-background", pretrained=False, store="background.zarr", options=("--background-cell",)),
    Trained("dn-background-no-mask", False, "background.zarr", ("--background-cell", "--mask", "none")),
]
SCRATCH = [one for one in DIRECTIONS if not one.pretrained]
FINE = Trained("dn-fine")
#: Each network and the mask that it is given.
ASKED = [
    (DIRECTIONS[0], "cells-and-walls"),
    (DIRECTIONS[0], "cells"),
    (DIRECTIONS[1], "cells"),
    (DIRECTIONS[1], "cells-and-walls"),
    (FINE, "cells-and-walls"),
    (DIRECTIONS[2], "cells-and-walls"),
    (DIRECTIONS[3], "cells-and-walls"),
    (DIRECTIONS[4], "none"),
]


def cellprep(*words: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "cellprep", *map(str, words)], check=True)


def prepare(out: Path) -> None:
    """Write the annotations of the existing images, their stores, and the folds."""
    data = Path(os.environ["CELLPREP_TEST_DATA"]) / "sartorius"
    known = {path.stem for path in (data / "images").glob("*.png")}
    annotations = out / "train.csv"
    with (data / "train.csv").open(newline="") as source, annotations.open("w", newline="") as target:
        rows = csv.DictReader(source)
        writer = csv.DictWriter(target, rows.fieldnames or [])
        writer.writeheader()
        writer.writerows(row for row in rows if row["id"] in known)
    for name, options in (("data.zarr", []), ("background.zarr", ["--background-cell"])):
        cellprep("build-targets", annotations, "--images", data / "images", "--out", out / name, *options)
    cellprep("split", annotations, "--folds", FOLDS, "--out", out / "folds.csv")


def train(
    out: Path, network: str, name: str, fold: int, epochs: int, *options: object, store: str = "data.zarr"
) -> None:
    """Train a network, or resume its training."""
    run = out / f"{name}-{fold}"
    where = ["--data", out / store, "--folds", out / "folds.csv", "--fold", fold, "--out", run]
    how = ["--epochs", epochs, "--batch-size", 4, "--normalisation", "percentile", "--in-memory", "--workers", 0]
    cellprep("train", network, *where, *how, *options, *(["--resume"] if (run / "run.json").exists() else []))


def train_all(out: Path, nuclei: Path | None, fold: int, epochs: int) -> None:
    """Train the networks of a fold, starting from those for nuclei if there are such, otherwise from scratch."""
    if nuclei is None:
        for one in SCRATCH:
            train(
                out,
                "dn",
                one.name,
                fold,
                epochs,
                "--base-channels",
                16,
                "--arch",
                "unet",
                *one.options,
                store=one.store,
            )
        return
    train(out, "semseg", "semseg", fold, epochs, "--init", nuclei / "semseg")
    for one in DIRECTIONS:
        first = ["--init", nuclei / "dn"] if one.pretrained else NOTHING
        train(out, "dn", one.name, fold, epochs, *first, *one.options, store=one.store)
    train(out, "wtn", "wtn", fold, epochs, "--init", nuclei / "wtn")
    train(out, "dn", FINE.name, fold, max(1, epochs // 3), "--max-lr", "1e-4", "--init", out / f"dn-{fold}")


def batches(out: Path, one: Trained, fold: int, mask: str) -> Iterator[tuple[torch.nn.Module, dict]]:
    """Yield the whole validation images of a fold, and the network."""
    network = load_weights(out / f"{one.name}-{fold}")
    with (out / "folds.csv").open(newline="") as file:
        ids = [row["image"] for row in csv.DictReader(file) if int(row["fold"]) == fold]
    assert network.normalisation is not None
    loader = validation_loader(
        open_store(out / one.store), ids, CropSettings(mask=mask), network.normalisation, network.network.multiple, 0
    )
    for batch in loader.epoch(0):
        yield network.network, batch


@torch.no_grad()
def angle(out: Path, one: Trained, mask: str, *, zeros: bool = False, border: bool = False) -> float:
    """Return the mean angle in degrees between predicted and true vectors of cells, over all folds.

    Cells are those of the annotations without walls, regardless of the network's mask. Images are padded by zeros, or
    as for prediction; with `border`, only pixels next to the padding count.
    """
    total = count = 0.0
    for fold in range(FOLDS):
        for network, batch in batches(out, one, fold, mask):
            inside = batch["counts"][0]
            shown = inside if zeros else torch.ones_like(inside)
            where = inside & (batch["semseg"][0] == 0) & (batch["uvec"][0] != 0).any(0)
            if border:
                last = int(inside.any(1).nonzero().max())
                where[: last + 1 - BORDER] = False
            uvec = network(batch["image"] * shown, batch["mask"] * shown)[0]
            cosine = (uvec * batch["uvec"][0]).sum(0)[where].clamp(-1, 1)
            total += float(torch.rad2deg(torch.acos(cosine)).sum())
            count += int(where.sum())
    return total / count


def scores(out: Path, options: list[str], name: str) -> list[float]:
    """Predict each fold's images, and return Kaggle's mean precision and AP at IoU .5 and .7."""
    predicted, part = out / name, out / "part"
    if not predicted.exists():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for fold in range(FOLDS):
            with (out / "folds.csv").open(newline="") as file:
                images = [row["image"] for row in csv.DictReader(file) if int(row["fold"]) == fold]
            folder = Path(os.environ["CELLPREP_TEST_DATA"]) / "sartorius" / "images"
            weights = ["--weights", out / f"dn-{fold}", "--weights", out / f"wtn-{fold}"]
            tells = ["--semseg-weights", out / f"semseg-{fold}"] if "--data" not in options else []
            cellprep(
                "predict", *weights, *tells, *options, *(folder / f"{i}.png" for i in images), "--out", part / "fold"
            )
            for path in (part / "fold").iterdir():
                path.rename(part / path.name)
            (part / "fold").rmdir()
        part.rename(predicted)
    found = evaluate(open_source(predicted), open_source(out / "train.csv")).scores["overall"]
    return [found["kaggle_map"], found["ap"]["0.50"], found["ap"]["0.70"]]


def main() -> None:
    """Train, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--nuclei", type=Path, help="output of examples/train_nuclei.sh; by default, train from scratch"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--fold", type=int, help="train this fold only, and print nothing")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not (given.out / "folds.csv").exists():
        prepare(given.out)
    for fold in range(FOLDS) if given.fold is None else [given.fold]:
        train_all(given.out, given.nuclei, fold, given.epochs)
    if given.fold is not None:
        return
    say = sys.stdout.write
    asked = ASKED if given.nuclei else [(one, mask) for one, mask in ASKED if one in SCRATCH]
    rows = [[f"{one.name} given {mask}", f"{angle(given.out, one, mask):.2f}"] for one, mask in asked]
    if given.nuclei is None:
        say(table("Angle of the vectors on unseen images, degrees", ["network", "angle"], rows) + "\n")
        return
    for zeros in (False, True):
        found = angle(given.out, *ASKED[0], zeros=zeros, border=True)
        rows.append([f"dn, last {BORDER} rows, padded {'by zeros' if zeros else 'symmetrically'}", f"{found:.2f}"])
    say(table("Angle of the vectors on unseen images, degrees", ["network", "angle"], rows) + "\n")
    ways = {f"{name}, predicted masks": ["--decoder", name] for name in DECODERS}
    for name in ("walls", "tops"):
        ways[f"{name}, true masks"] = ["--decoder", name, "--data", str(given.out / "data.zarr")]
    lines = [[way, *(f"{value:.3f}" for value in scores(given.out, options, way))] for way, options in ways.items()]
    say(table("Instances on unseen images", ["decoder", "kaggle", "AP .5", "AP .7"], lines) + "\n")


if __name__ == "__main__":
    main()
