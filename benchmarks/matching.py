"""Scoring one image, compared with StarDist's matching: ``python -m benchmarks.matching``."""

import sys
import time
import warnings

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import table
from cellprep import IOU_THRESHOLDS, score_image, summarise

SIZES = {80: 520, 600: 704, 8000: 2080}  # cells, and the side of the image in pixels
REPEATS = 3


def draw(count: int, side: int, seed: int = 0) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return two label images with this number of discs on a grid, with different shifts and radii."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(count**0.5))
    step = side // columns
    y, x = np.mgrid[:step, :step] - (step - 1) / 2
    images = np.zeros((2, side, side), np.int32)
    for image in images:
        for cell in range(count):
            top, left = (step * place for place in divmod(cell, columns))
            down, right = rng.uniform(-0.15, 0.15, 2) * step
            disc = np.hypot(y - down, x - right) < step * rng.uniform(0.35, 0.5)
            image[top : top + step, left : left + step][disc] = cell + 1
    return images[0], images[1]


def measure(sizes: dict[int, int] = SIZES, repeats: int = REPEATS) -> str:
    """Time both, and check that they agree; return a table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from stardist.matching import matching

    warm, _ = draw(4, 32)
    matching(warm, warm)  # compiles it
    rows = []
    for count, side in sizes.items():
        truth, predicted = draw(count, side)
        ours, score = _fastest(lambda p=predicted, t=truth: score_image(p, t), repeats)
        one, _ = _fastest(lambda p=predicted, t=truth: matching(t, p, thresh=0.5), 1)
        all_ten, theirs = _fastest(lambda p=predicted, t=truth: matching(t, p, thresh=IOU_THRESHOLDS), 1)
        ap = summarise([score])["ap"].values()
        assert np.allclose(list(ap), [found.accuracy for found in theirs]), "the scores differ"
        figures = [f"{1000 * seconds:,.1f}" for seconds in (ours, one, all_ten)]
        rows.append([f"{count:,}", f"{side} x {side}", *figures, f"{one / ours:,.0f}", f"{all_ten / ours:,.0f}"])
    header = ["cells", "image", "cellprep, all scores, ms", "stardist.matching at 0.50, ms", "at ten IoUs, ms"]
    return table("Scoring one image", [*header, "x at 0.50", "x at ten"], rows)


def _fastest(function, repeats: int):  # type: ignore[no-untyped-def]
    """Return the fewest seconds of wall time that a function took, and what it returned."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


if __name__ == "__main__":
    sys.stdout.write(measure() + "\n")
