"""Colours for the arrays of a store, distinguishable by colour-blind readers."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of cell, wall and background, (3, 3) uint8.
SEMSEG_COLOURS = np.array([[86, 180, 233], [213, 94, 0], [25, 25, 25]], np.uint8)

#: Colours of classes of cells, (5, 3) uint8: those of Okabe and Ito that stand out from grey; colour-blind readers can
#: distinguish them.
TYPE_COLOURS = np.array([[230, 159, 0], [86, 180, 233], [240, 228, 66], [0, 158, 115], [213, 94, 0]], np.uint8)

#: Colour of cell outlines, RGB.
OUTLINE = (255, 204, 25)

# Right, down, left, up: opposite directions differ in lightness, and in hues that the colour-blind can distinguish.
_DIRECTIONS = np.array([[253, 216, 60], [213, 70, 130], [20, 80, 190], [90, 215, 190]])
_NO_DIRECTION = 38
_LIMITS = (0.5, 99.5)  # percentiles of intensities that are mapped to black and white


def class_colours(count: int) -> NDArray[np.uint8]:
    """Return a colour for each class: (count, 3) uint8, RGB. The last one is dark, for the background."""
    more = label_colours(np.arange(count)[np.newaxis])[0, 2:]
    colours = np.concatenate([SEMSEG_COLOURS[:-1], more])[: count - 1]
    return np.concatenate([colours, SEMSEG_COLOURS[-1:]])


def type_colours(count: int) -> NDArray[np.uint8]:
    """Return one colour per class, (count, 3) uint8, RGB; colour-blind readers can distinguish the first five.

    Examples
    --------
    >>> type_colours(2).tolist(), type_colours(9).shape
    ([[230, 159, 0], [86, 180, 233]], (9, 3))
    """
    more = label_colours(np.arange(max(0, count - len(TYPE_COLOURS)) + 1)[np.newaxis])[0, 1:]
    return np.concatenate([TYPE_COLOURS, more])[:count]


def grey_levels(pixels: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.float64]:
    """Scale an image to the range 0 to 1, clipping the darkest and the brightest half percent.

    Parameters
    ----------
    pixels
        (H, W), or (C, H, W), which is averaged over the channels.
    limits
        Limits from `grey_limits` for the image that this is a part of; by default its own.

    Examples
    --------
    >>> grey_levels(np.array([[10, 20, 30]])).round(2).tolist()
    [[0.0, 0.5, 1.0]]
    """
    low, high = limits or grey_limits(pixels)
    levels: NDArray[np.float64] = np.clip((_grey(pixels) - low) / max(high - low, 1e-9), 0, 1)
    return levels


def grey_limits(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return the intensities of an image that `grey_levels` maps to 0 and 1."""
    low, high = np.percentile(_grey(pixels), _LIMITS)
    return float(low), float(high)


def _grey(pixels: NDArray[Any]) -> NDArray[np.float64]:
    return (pixels if pixels.ndim == 2 else pixels.mean(axis=0)).astype(float)


def outlined(grey: NDArray[np.float64] | None, labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw cell outlines in colour on a greyscale image: (H, W, 3) uint8, RGB.

    Without an image, cells are drawn lighter than the background.
    """
    from skimage.segmentation import find_boundaries

    grey = np.where(labels > 0, 0.45, 0.2) if grey is None else grey
    picture = np.repeat(np.round(255 * grey).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    picture[find_boundaries(labels, mode="inner")] = OUTLINE
    return picture


def vector_colours(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Colour vectors by direction, according to a colour wheel. Vectors of length 0 are dark grey.

    Right is yellow, down magenta, left blue, up green.

    Parameters
    ----------
    vectors
        (H, W, 2), components (y, x).

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB.

    Examples
    --------
    >>> vector_colours(np.array([[[0.0, 1.0], [0.0, 0.0]]])).tolist()
    [[[253, 216, 60], [38, 38, 38]]]
    """
    quarter = np.arctan2(vectors[..., 0], vectors[..., 1]) / (np.pi / 2) % 4
    places = np.arange(5)
    wheel = np.vstack([_DIRECTIONS, _DIRECTIONS[:1]])
    colours = np.stack([np.interp(quarter, places, wheel[:, channel]) for channel in range(3)], axis=-1)
    length = np.clip(np.hypot(vectors[..., 0], vectors[..., 1]), 0, 1)[..., np.newaxis]
    rgb: NDArray[np.uint8] = np.round(_NO_DIRECTION + length * (colours - _NO_DIRECTION)).astype(np.uint8)
    return rgb


def label_colours(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour each label differently from the labels before it; (H, W, 3) uint8, RGB."""
    from skimage.color import hsv2rgb

    count = int(labels.max(initial=0)) + 1
    hue = np.arange(count) * 0.61803398875 % 1  # steps of the golden ratio fill the wheel evenly
    hsv = np.stack([hue, 0.45 + 0.4 * (np.arange(count) % 3) / 2, 0.95 - 0.25 * (np.arange(count) % 2)], axis=1)
    colours = np.round(255 * hsv2rgb(hsv)).astype(np.uint8)
    colours[0] = 25
    picture: NDArray[np.uint8] = colours[labels]
    return picture


def draw_wheel(axes: "Axes", _: object = None) -> None:
    """Draw the colour wheel of directions."""
    y, x = np.mgrid[-1:1:201j, -1:1:201j]
    length = np.hypot(y, x)
    vectors = np.stack([y, x], axis=-1) / np.maximum(length, 1e-9)[..., np.newaxis]
    wheel = vector_colours(vectors)
    wheel[(length > 1) | (length < 0.45)] = 255
    axes.imshow(wheel, extent=(-1.0, 1.0, 1.0, -1.0))
    for dy, dx, name in ((0, 1, "right"), (1, 0, "down"), (0, -1, "left"), (-1, 0, "up")):
        axes.annotate("", (0.4 * dx, 0.4 * dy), (0.05 * dx, 0.05 * dy), arrowprops={"arrowstyle": "->"})
        axes.text(1.35 * dx, 1.25 * dy, name, ha="center", va="center", fontsize=11)
    axes.set(xlim=(-1.9, 1.9), ylim=(1.4, -1.4), xticks=[], yticks=[])
    axes.set_frame_on(False)
