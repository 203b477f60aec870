"""Pictures of images with the outlines of their instances."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE

# Those of Okabe and Ito that stand out from grey, which the colour-blind can tell apart.
_COLOURS = np.array([[230, 159, 0], [86, 180, 233], [240, 228, 66], [0, 158, 115], [213, 94, 0]], np.uint8)
_LIMITS = (0.5, 99.5)  # percentiles of intensities that become black and white


def draw_overlay(image: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw the outermost pixels of each instance onto the image.

    Parameters
    ----------
    image
        (C, H, W): shown in colours if there are three channels, else the first one in grey.
    labels
        (H, W), 0 = background.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB. Instances with successive numbers have different colours.

    Examples
    --------
    >>> draw_overlay(np.zeros((1, 3, 5)), np.pad(np.ones((3, 3), int), ((0, 0), (1, 1))))[1, :, 0].tolist()
    [0, 230, 0, 230, 0]
    """
    shown = image if len(image) == 3 else image[:1]
    picture = np.empty((*labels.shape, 3), np.uint8)
    limits = [np.percentile(channel, _LIMITS) for channel in shown]
    for top in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        part = np.stack([_to_8_bit(channel[rows], *limit) for channel, limit in zip(shown, limits, strict=True)], -1)
        found = labels[max(0, top - 1) : top + ROWS_AT_ONCE + 1]
        edge = _edges(found)[min(top, 1) :][: len(part)]
        picture[rows] = part
        picture[rows][edge] = _COLOURS[(labels[rows][edge] - 1) % len(_COLOURS)]
    return picture


def _to_8_bit(channel: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.clip((channel - low) * (255 / max(high - low, 1e-9)), 0, 255).astype(np.uint8)
    return scaled


def _edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of instances beside another one, or beside the background."""
    padded = np.pad(labels, 1, mode="edge")
    edge = np.zeros(labels.shape, bool)
    for beside in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= beside != labels
    return edge & (labels > 0)
