"""Pictures of what a store holds."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError, MissingExtraError
from cellprep.store import StoredImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SEMSEG_COLOURS", "draw_targets", "vector_colours"]

#: Of cell, wall and background, (3, 3) uint8: distinct for the colour-blind.
SEMSEG_COLOURS = np.array([[86, 180, 233], [213, 94, 0], [25, 25, 25]], np.uint8)


def draw_targets(image: StoredImage, path: Path) -> None:
    """Draw an image of a store and all its targets side by side.

    Parameters
    ----------
    image
        From ``open_store(...)[image_id]``.
    path
        The picture to write, of a kind that Matplotlib knows by its name's end, such as ``.png``.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    ImageFileError
        If the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a picture", "matplotlib", "plot") from error

    height, width = image.shape
    panel = 4.2
    figure = Figure(figsize=(4 * panel, 2 * panel * height / width + 1.6), dpi=120, layout="constrained")
    labels = image.read("labels")
    draw: dict[str, Callable[[Axes], object]] = {
        "image, cells outlined": lambda axes: _draw_outlined(axes, image, labels),
        "labels": lambda axes: axes.imshow(_label_colours(labels), interpolation="nearest"),
        "semseg": lambda axes: _draw_semseg(axes, image.read("semseg")),
        "uvec": lambda axes: _draw_vectors(axes, image.read("uvec")),
        "distance in pixels": lambda axes: _draw_scaled(axes, image.read("distance")),
        "energy level": lambda axes: _draw_scaled(axes, image.read("energy")),
        "area in pixels, background left out": lambda axes: _draw_scaled(
            axes, np.ma.masked_where(labels == 0, image.read("area"))
        ),
        "directions of uvec, into the cell": _draw_wheel,
    }
    for axes, (title, draw_panel) in zip(figure.subplots(2, 4).ravel(), draw.items(), strict=True):
        draw_panel(axes)
        axes.set_title(title, fontsize=13)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_facecolor("0.1")
    cell_type = image.attributes["cell_type"]
    kind = f"  ·  {cell_type}" if cell_type else ""
    figure.suptitle(f"{image.id}{kind}  ·  {image.attributes['cells']} cells  ·  {height} x {width}", fontsize=15)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ImageFileError(f"cannot write the picture {path}: {error.strerror}") from error


def vector_colours(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Colour vectors by their direction, around the wheel of hues; those of length 0 are dark grey.

    Parameters
    ----------
    vectors
        (H, W, 2), components (y, x).

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB.
    """
    import cv2

    turn = np.arctan2(vectors[..., 0], vectors[..., 1]) / (2 * np.pi) % 1
    length = np.clip(np.hypot(vectors[..., 0], vectors[..., 1]), 0, 1)
    hsv = np.stack([360 * turn, 0.75 * length, 0.15 + 0.8 * length], axis=-1).astype(np.float32)
    rgb: NDArray[np.uint8] = np.round(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)
    return rgb


def _draw_outlined(axes: "Axes", image: StoredImage, labels: NDArray[Any]) -> None:
    from skimage.segmentation import find_boundaries

    if "image" in image.arrays:
        pixels = image.read("image")
        grey = (pixels if pixels.ndim == 2 else pixels.mean(axis=0)).astype(float)
    else:
        grey = np.full(labels.shape, 0.5)
    low, high = np.percentile(grey, [0.5, 99.5])
    picture = np.repeat(np.clip((grey - low) / max(high - low, 1e-9), 0, 1)[..., np.newaxis], 3, axis=2)
    picture[find_boundaries(labels, mode="inner")] = (1.0, 0.8, 0.1)
    axes.imshow(picture, interpolation="nearest")


def _draw_semseg(axes: "Axes", semseg: NDArray[np.uint8]) -> None:
    names = ("cell", "wall", "background")
    axes.imshow(SEMSEG_COLOURS[semseg.argmax(axis=2)], interpolation="nearest")
    for name, colour in zip(names, SEMSEG_COLOURS / 255, strict=True):
        axes.plot([], [], "s", color=colour, markeredgecolor="0.5", label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, handletextpad=0.1)


def _draw_vectors(axes: "Axes", vectors: NDArray[np.float32]) -> None:
    axes.imshow(vector_colours(vectors), interpolation="nearest")


def _draw_scaled(axes: "Axes", values: NDArray[Any]) -> None:
    shown = axes.imshow(values, cmap="viridis", interpolation="nearest")
    scale = axes.inset_axes((0.0, -0.07, 1.0, 0.035))
    axes.figure.colorbar(shown, cax=scale, orientation="horizontal")


def _draw_wheel(axes: "Axes") -> None:
    y, x = np.mgrid[-1:1:201j, -1:1:201j]
    length = np.hypot(y, x)
    vectors = np.stack([y, x], axis=-1) / np.maximum(length, 1e-9)[..., np.newaxis]
    wheel = vector_colours(vectors)
    wheel[(length > 1) | (length < 0.45)] = 255
    axes.imshow(wheel, extent=(-1.0, 1.0, 1.0, -1.0))
    axes.set(xlim=(-1.9, 1.9), ylim=(1.3, -1.3))
    axes.set_frame_on(False)


def _label_colours(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Give each label a colour of its own, far from those of the labels before it."""
    from skimage.color import hsv2rgb

    count = int(labels.max(initial=0)) + 1
    hue = np.arange(count) * 0.61803398875 % 1  # steps of the golden ratio fill the wheel evenly
    hsv = np.stack([hue, 0.45 + 0.4 * (np.arange(count) % 3) / 2, np.full(count, 0.95)], axis=1)
    colours = np.round(255 * hsv2rgb(hsv)).astype(np.uint8)
    colours[0] = 25
    picture: NDArray[np.uint8] = colours[labels]
    return picture
