"""Thumbnails of images with cell outlines."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.colours import grey_levels, outlined

_SIDE = 160  # longer side of a thumbnail, in pixels
_SAMPLES = 3  # pixels sampled per pixel of the thumbnail, along each side; more would only take longer


def small_outlined(grey: NDArray[np.uint8], labels: NDArray[np.integer], side: int) -> NDArray[np.uint8]:
    """Downscale an image and outline its cells.

    Parameters
    ----------
    grey
        (H, W), the image.
    labels
        (H, W), 0 = background.
    side
        Longer side of the result in pixels, at most.

    Returns
    -------
    ndarray
        (h, w, 3) uint8, RGB.

    Examples
    --------
    >>> labels = np.pad(np.ones((4, 6), int), 2)
    >>> small_outlined(np.zeros((8, 10), np.uint8), labels, 5)[..., 0].tolist()
    [[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 255, 255, 255, 0], [0, 0, 0, 0, 0]]
    """
    import cv2

    height, width = labels.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    # Nearest neighbour by index, as OpenCV cannot resize 32-bit labels.
    rows = (np.arange(size[1]) * height // size[1])[:, None]
    columns = np.arange(size[0]) * width // size[0]
    return outlined(small / 255, labels[rows, columns])


def draw_thumbnail(pixels: NDArray[Any] | None, labels: NDArray[np.integer]) -> bytes:
    r"""Draw a thumbnail of at most 160 pixels a side, as a PNG with 64 colours.

    Parameters
    ----------
    pixels
        (H, W), or (C, H, W), which is averaged over the channels; None if there is no image.
    labels
        (H, W), 0 = background.

    Examples
    --------
    >>> draw_thumbnail(None, np.eye(9, dtype=int))[:4]
    b'\x89PNG'
    """
    from PIL import Image

    step = -(-max(labels.shape) // (_SAMPLES * _SIDE))
    labels = labels[::step, ::step]
    levels = np.where(labels > 0, 0.45, 0.2) if pixels is None else grey_levels(pixels[..., ::step, ::step])
    picture = small_outlined(np.round(255 * levels).astype(np.uint8), labels, _SIDE)
    file = io.BytesIO()
    Image.fromarray(picture).quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()
