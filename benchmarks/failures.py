"""Pictures of where the bundled weights fail: ``python -m benchmarks.failures``.

Of the validation images under CELLPREP_TEST_DATA with the lowest scores, the window with the most pixels of wrong cells
is drawn to ``docs/models/WEIGHTS-failures.webp``.
"""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import tifffile
from matplotlib.figure import Figure

from cellprep import score_image
from cellprep.commands.evaluate.pictures import add_legend, draw_outcomes
from cellprep.core.colours import grey_levels
from cellprep.core.rle import runs_from_labels
from cellprep.core.scores import judge_cells
from cellprep.formats.annotations.record import Annotations
from cellprep.learn import load_bundle, segment

OUT = Path(__file__).parent.parent / "docs" / "models"
SETS = {"nuclei": {"dsb2018": 4, "bbbc039": 2}, "phase": {"usiigaci": 3}}  # by weights: number of images
NAMES = {"dsb2018": "DSB2018", "bbbc039": "BBBC039", "usiigaci": "Usiigaci"}
SIDES = {"nuclei": 256, "phase": 420}  # of a window, in pixels
COLUMNS = 3


class Scored(NamedTuple):
    """An image, its predicted and true cells, and Kaggle's mean precision."""

    score: float
    name: str
    pixels: np.ndarray
    predicted: Annotations
    truth: Annotations


def scored(weights: str, name: str) -> list[Scored]:
    """Segment the validation images of a set; the lowest score comes first."""
    data, bundle = Path(os.environ["CELLPREP_TEST_DATA"], name), load_bundle(weights)
    found = []
    for image_id in (data / "validation_ids.txt").read_text().split():
        image, masks = (tifffile.imread(data / kind / f"{image_id}.tif") for kind in ("images", "masks"))
        both = [annotations(labels) for labels in (segment(image, bundle, device="cpu"), masks)]
        score = score_image(both[0].runs, both[1].runs).kaggle_precision
        found.append(Scored(score, f"{NAMES[name]} {image_id[:8]}", image, *both))
    return sorted(found, key=lambda image: image.score)


def annotations(labels: np.ndarray) -> Annotations:
    """Return the cells of a label image."""
    return Annotations(runs_from_labels(labels)[0], (), (), "")


def worst_window(image: Scored, side: int) -> tuple[int, int]:
    """Return the first row and column of the window with most pixels of wrong cells."""
    verdicts = judge_cells(image.predicted.runs, image.truth.runs)
    wrong = np.zeros(image.truth.runs.shape, np.float32)
    for cells, chosen in ((image.predicted, verdicts.false), (image.truth, verdicts.missed)):
        wrong += cells.runs.take(chosen).coverage() > 0
    height, width = wrong.shape
    sums = cv2.boxFilter(wrong, -1, (side, side), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = sums[: max(1, height - side + 1), : max(1, width - side + 1)]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return int(top), int(left)


def draw(images: list[Scored], side: int, path: Path) -> None:
    """Draw a window of each image."""
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 4.3 * rows + 0.4), dpi=75, layout="constrained")
    for axes, image in zip(figure.subplots(rows, COLUMNS).ravel(), images, strict=True):
        top, left = worst_window(image, side)
        axes.imshow(0.8 * grey_levels(image.pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        draw_outcomes(axes, image.predicted, image.truth)
        height, width = image.truth.runs.shape
        ends = min(left + side, width), min(top + side, height)
        axes.set(xticks=[], yticks=[], xlim=(left - 0.5, ends[0] - 0.5), ylim=(ends[1] - 0.5, top - 0.5))
        axes.set_title(f"{image.name}: {image.score:.2f}")
    add_legend(figure, fontsize=11)
    figure.savefig(path, pil_kwargs={"quality": 40})


def main() -> None:
    """Draw the pictures of all bundled weights."""
    for weights, sets in SETS.items():
        images = [image for name, number in sets.items() for image in scored(weights, name)[:number]]
        draw(images, SIDES[weights], OUT / f"{weights}-failures.webp")


if __name__ == "__main__":
    main()
