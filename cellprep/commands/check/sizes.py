"""Search for cells that are tiny or huge for their type."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cellprep.commands.check.findings import Finding, ImageFindings

_FEWEST = 20  # smallest number of cells of a type for which a usual size is defined
_LEAST_SPREAD = 0.1  # of log area, as differences of 10 % in area are never unusual
_TO_DEVIATION = 1.4826  # from the median absolute deviation, for normal distributions


def judge_sizes(images: Sequence[ImageFindings], thresholds: Mapping[str, float]) -> Iterator[Finding]:
    """Find the cells whose area is far from the usual area of their type.

    The logarithms of the areas of a type are approximately normal. Their median and median absolute deviation are
    robust estimates of the usual size.

    Parameters
    ----------
    images
        All images.
    thresholds
        Thresholds of the rules ``tiny`` and ``huge``, in standard deviations.
    """
    logs = defaultdict(list)
    for image in images:
        for name, area in zip(image.cell_types, image.areas, strict=True):
            if area:
                logs[name].append(np.log(area))
    usual = {name: _usual(np.array(found)) for name, found in logs.items() if len(found) >= _FEWEST}
    for image in images:
        for row, name, area in zip(image.rows, image.cell_types, image.areas, strict=True):
            if not area or name not in usual:
                continue
            median, spread = usual[name]
            deviations = (np.log(area) - median) / spread
            rule = "tiny" if deviations < 0 else "huge"
            if abs(deviations) >= thresholds[rule]:
                note = f"area {area}; the median of its type is {np.exp(median):.0f}"
                yield Finding(
                    image.image_id, rule, row, name, float(abs(deviations)), note, None, area, float(np.exp(median))
                )


def _usual(logs: np.ndarray) -> tuple[float, float]:
    median = float(np.median(logs))
    return median, max(_TO_DEVIATION * float(np.median(np.abs(logs - median))), _LEAST_SPREAD)
