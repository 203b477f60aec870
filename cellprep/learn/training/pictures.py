"""Pictures of validation images: what is true, what a network makes of it, and where they differ."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.colours import SEMSEG_COLOURS, grey_levels, vector_colours
from cellprep.learn.training.journal import Row
from cellprep.system.output import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cellprep.learn.training.trainer import Shown

Panel = Callable[["Axes"], object]


def has_matplotlib() -> bool:
    """Return whether pictures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def draw_validation(folder: Path, shown: "list[Shown]", row: Row) -> None:
    """Draw images with their true and predicted maps, a PNG each, named by the image and the part of it.

    Raises
    ------
    OutputError
        If a picture cannot be written.
    """
    from matplotlib.figure import Figure

    for item in shown:
        name = " ".join([*item.batch["id"], *item.batch.get("part", ())])
        panels = _panels(item)
        height, width = item.batch["mask"].shape[-2:]
        figure = Figure(figsize=(4.5 * len(panels), 4.5 * height / width + 0.9), dpi=110, layout="constrained")
        for axes, (title, draw) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
            draw(axes)
            axes.set(title=title, xticks=[], yticks=[])
        figure.suptitle(f"{name}  ·  epoch {row['epoch']:.0f}".replace("$", r"\$"))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        write_whole(folder / f"{name}.png", buffer.getvalue())


def _panels(item: "Shown") -> dict[str, Panel]:
    """Return the panels of an image by their titles: for each map the true one, the predicted one, the error."""
    true = {name: value[0].numpy() for name, value in item.batch.items() if name not in ("id", "part")}
    found = {name: value[0].numpy() for name, value in item.maps.items()}
    mask = true["domain"][0] > 0
    panels: dict[str, Panel] = {}
    if "image" in true:
        panels["image"] = lambda axes: _draw_image(axes, true["image"])
    if "semseg" in found:
        classes = found["semseg"].argmax(axis=0)
        wrong_class = classes != true["semseg"]
        panels["true cells and walls"] = lambda axes: _draw_classes(axes, true["semseg"])
        panels["predicted cells and walls"] = lambda axes: _draw_classes(axes, classes)
        panels["wrong class"] = lambda axes: axes.imshow(wrong_class, cmap="gray", interpolation="nearest")
    if "uvec" in found:
        angles = np.degrees(np.arccos(np.clip((found["uvec"] * true["uvec"]).sum(axis=0), -1, 1)))
        angles[(true["uvec"] == 0).all(axis=0) | ~mask] = 0
        panels["true uvec"] = lambda axes: _draw_vectors(axes, true["uvec"])
        panels["predicted uvec"] = lambda axes: _draw_vectors(axes, found["uvec"])
        panels["angle between, degrees"] = lambda axes: _draw_values(axes, angles, "magma", 180)
    if "energy" in found:
        levels = np.where(mask, found["energy"].argmax(axis=0), 0)
        highest = len(found["energy"]) - 1
        panels["true energy"] = lambda axes: _draw_values(axes, np.where(mask, true["energy"], 0), "viridis", highest)
        panels["predicted energy"] = lambda axes: _draw_values(axes, levels, "viridis", highest)
        wrong = np.where(mask, np.abs(levels - true["energy"]), 0)
        panels["levels apart"] = lambda axes: _draw_values(axes, wrong, "magma", max(4, int(wrong.max())))
    return panels


def _draw_image(axes: "Axes", image: NDArray[np.float32]) -> None:
    axes.imshow(grey_levels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_classes(axes: "Axes", classes: NDArray[Any]) -> None:
    axes.imshow(SEMSEG_COLOURS[classes], interpolation="nearest")


def _draw_vectors(axes: "Axes", vectors: NDArray[np.float32]) -> None:
    axes.imshow(vector_colours(np.moveaxis(vectors, 0, -1)), interpolation="nearest")


def _draw_values(axes: "Axes", values: NDArray[Any], colours: str, highest: float) -> None:
    shown = axes.imshow(values, cmap=colours, vmin=0, vmax=highest, interpolation="nearest")
    scale = axes.inset_axes((0.0, -0.06, 1.0, 0.03))
    axes.figure.colorbar(shown, cax=scale, orientation="horizontal")
