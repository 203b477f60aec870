"""Pictures of predicted vectors: the image, its mask, and the directions in colours."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.colours import SEMSEG_COLOURS, draw_wheel, grey_levels, vector_colours
from cellprep.learn.prediction.maps import BACKGROUND, PredictedMaps
from cellprep.text.wording import printable

_MOST_PIXELS = 1500  # on the longest side of a panel
_DPI = 110
_LEAST, _MOST = 3.0, 8.0  # inches of a panel


def draw_vectors(name: str, image: Any, maps: PredictedMaps) -> bytes:
    """Draw an image, its mask and its predicted vectors side by side, with a colour key.

    Parameters
    ----------
    name
        The image's id.
    image
        (C, H, W).
    maps
        From a `Predictor`, with vectors.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.figure import Figure

    assert maps.uvec is not None
    step = -(-max(maps.shape) // _MOST_PIXELS)
    seen = slice(None, None, step)
    height, width = maps.shape
    panels: dict[str, NDArray[Any]] = {
        "image": np.round(255 * grey_levels(np.asarray(image)[:, seen, seen])).astype(np.uint8),
        "mask": SEMSEG_COLOURS[np.where(maps.classes[seen, seen] == BACKGROUND, BACKGROUND, 0)],
        "predicted uvec": vector_colours(maps.uvec[seen, seen].astype(np.float32)),
    }
    across = min(max(width / _DPI, _LEAST), _MOST)
    down = min(max(across * height / width, across / 4), across * 4)
    figure = Figure(figsize=(3 * across + 2.2, down + 0.8), dpi=_DPI, layout="constrained")
    *shown, wheel = figure.subplots(1, 4, width_ratios=[across] * 3 + [2.0])
    for axes, (title, pixels) in zip(shown, panels.items(), strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
    draw_wheel(wheel)
    figure.suptitle(printable(name).replace("$", r"\$"))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
