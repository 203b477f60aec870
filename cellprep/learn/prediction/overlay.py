"""Pictures of images with the outlines of their instances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE
from cellprep.core.colours import TYPE_COLOURS, type_colours
from cellprep.text.wording import printable

_TEXT_SIZES = (10, 40)  # smallest and largest height of a legend's letters, in pixels
_LIMITS = (0.5, 99.5)  # percentiles of intensities that become black and white


def draw_overlay(
    image: NDArray[Any], labels: NDArray[Any], types: Sequence[int] | None = None, names: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Draw the outermost pixels of each instance onto the image.

    Parameters
    ----------
    image
        (C, H, W): three channels are shown in colour, otherwise the first one is shown in grey.
    labels
        (H, W), 0 = background.
    types
        (n,): index of each instance's class in `names`; None without classes.
    names
        The names of all classes.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB. Instances with successive numbers have different colours; with classes, each class has a
        colour, and there is a legend below the image.

    Examples
    --------
    >>> draw_overlay(np.zeros((1, 3, 5)), np.pad(np.ones((3, 3), int), ((0, 0), (1, 1))))[1, :, 0].tolist()
    [0, 230, 0, 230, 0]
    """
    shown = image if len(image) == 3 else image[:1]
    picture = np.empty((*labels.shape, 3), np.uint8)
    limits = [np.percentile(channel, _LIMITS) for channel in shown]
    colours = np.zeros((0, 3), np.uint8) if types is None else type_colours(len(names))[list(types)]
    for top in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        part = np.stack([_to_8_bit(channel[rows], *limit) for channel, limit in zip(shown, limits, strict=True)], -1)
        found = labels[max(0, top - 1) : top + ROWS_AT_ONCE + 1]
        edge = _edges(found)[min(top, 1) :][: len(part)]
        picture[rows] = part
        numbers = labels[rows][edge] - 1
        picture[rows][edge] = TYPE_COLOURS[numbers % len(TYPE_COLOURS)] if types is None else colours[numbers]
    if types is None:
        return picture
    counts = np.bincount(np.array(types, int), minlength=len(names))
    legend = [f"{printable(name)} ({number:,})" for name, number in zip(names, counts, strict=True)]
    return np.concatenate([picture, draw_legend(legend, type_colours(len(names)), picture.shape[1])])


def draw_legend(texts: Sequence[str], colours: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Draw a legend of texts and colours, in as many rows as needed: (height, width, 3) uint8, RGB."""
    from PIL import Image, ImageDraw, ImageFont

    size = int(np.clip(width // 40, *_TEXT_SIZES))
    font = ImageFont.load_default(size)
    line, x, y = round(1.6 * size), size // 2, 0
    places: list[tuple[int, int]] = []
    for text in texts:
        wide = 2 * size + round(font.getlength(text))
        if places and x + wide > width:
            x, y = size // 2, y + line
        places.append((x, y))
        x += wide
    canvas = Image.new("RGB", (width, y + line))
    draw = ImageDraw.Draw(canvas)
    for text, colour, (left, top) in zip(texts, colours.tolist(), places, strict=True):
        box = (left, top + line // 2 - size // 2, left + size, top + line // 2 + size // 2)
        draw.rectangle(box, fill=tuple(colour))
        draw.text((left + round(1.3 * size), top + line // 2), text, fill="white", font=font, anchor="lm")
    return np.asarray(canvas, np.uint8)


def _to_8_bit(channel: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.clip((channel - low) * (255 / max(high - low, 1e-9)), 0, 255).astype(np.uint8)
    return scaled


def _edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of instances next to another instance or the background."""
    padded = np.pad(labels, 1, mode="edge")
    edge = np.zeros(labels.shape, bool)
    for beside in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= beside != labels
    return edge & (labels > 0)
