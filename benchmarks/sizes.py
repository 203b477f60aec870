"""Scores of the bundled weights on nuclei of other sizes than they were trained on, and what a diameter gains.

    CELLPREP_TEST_DATA=data python -m benchmarks.sizes

Six validation images of DSB2018 are reduced and enlarged, and their masks with them. Takes two minutes.
"""

import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.timing import table
from cellprep.core.scores import score_image
from cellprep.learn import segment
from cellprep.learn.appearance import diameters_of

FACTORS = {"1/4": 1 / 4, "1/3": 1 / 3, "1/2": 1 / 2, "1": 1, "2": 2, "3": 3, "4": 4}
COUNT = 6


def chosen(data: Path) -> list[tuple[NDArray[Any], NDArray[Any], float]]:
    """Return six images of at most 256 x 320 pixels with ordinary nuclei, each with its labels and median diameter."""
    found = []
    for name in (data / "validation_ids.txt").read_text().split():
        image, labels = (tifffile.imread(data / kind / f"{name}.tif") for kind in ("images", "masks"))
        areas = np.bincount(labels.ravel())[1:]
        diameter = float(np.median(diameters_of(areas[areas > 0])))
        if labels.size <= 256 * 320 and np.count_nonzero(areas) >= 12 and 17 <= diameter <= 34:
            found.append((image, labels, diameter))
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))[:COUNT]]


def resized(image: NDArray[Any], labels: NDArray[Any], factor: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an image and its labels at another size."""
    if factor == 1:
        return image, labels
    size = tuple(max(1, round(side * factor)) for side in labels.shape[::-1])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=how), cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def main() -> None:
    """Print the table."""
    images = chosen(Path(os.environ["CELLPREP_TEST_DATA"], "dsb2018"))
    rows = []
    for name, factor in FACTORS.items():
        scores = []
        for whole, true, diameter in images:
            image, labels = resized(whole, true, factor)
            ways: list[Any] = [None, diameter * factor, "auto"]
            found = [segment(image, device="cpu", diameter=way) for way in ways]
            scores.append([score_image(one, labels).kaggle_precision for one in found])
        diameters = [diameter * factor for _, _, diameter in images]
        means = [f"{mean:.3f}" for mean in np.mean(scores, axis=0)]
        rows.append([name, f"{min(diameters):.0f} to {max(diameters):.0f}", *means])
    columns = ["factor", "median diameter, pixels", "without", "given", "auto"]
    sys.stdout.write(table("Sizes of nuclei", columns, rows) + "\n")


if __name__ == "__main__":
    main()
