"""Pictures of the inputs and outputs of networks, each drawn into the axes of a figure."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.colours import SEMSEG_COLOURS, grey_levels, type_colours, vector_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes"], object]


def show_image(image: NDArray[np.float32]) -> Panel:
    """Show an image (C, H, W) in shades of grey."""
    return lambda axes: axes.imshow(grey_levels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def show_mask(mask: NDArray[np.bool_]) -> Panel:
    """Show the True pixels of (H, W) in white."""
    return lambda axes: axes.imshow(mask, cmap="gray", interpolation="nearest")


def show_classes(classes: NDArray[Any]) -> Panel:
    """Show the classes of ``semseg`` (H, W)."""
    return lambda axes: axes.imshow(SEMSEG_COLOURS[classes], interpolation="nearest")


def show_types(types: NDArray[np.integer[Any]], names: Sequence[str]) -> Panel:
    """Show the classes of cells (H, W), given as indices into the names, -1 as dark, with a legend."""
    colours = np.concatenate([type_colours(len(names)), SEMSEG_COLOURS[-1:]])  # the last one is for -1

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Patch

        axes.imshow(colours[types], interpolation="nearest")
        patches = [
            Patch(color=colour / 255, label=name.replace("$", r"\$"))
            for name, colour in zip(names, colours, strict=False)
        ]
        axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, fontsize=8)

    return draw


def show_vectors(vectors: NDArray[np.float32]) -> Panel:
    """Show vectors (2, H, W) in colours."""
    return lambda axes: axes.imshow(vector_colours(np.moveaxis(vectors, 0, -1)), interpolation="nearest")


def show_values(values: NDArray[Any], colours: str, highest: float) -> Panel:
    """Show values (H, W) from 0 to the highest one, with a scale."""

    def draw(axes: "Axes") -> None:
        shown = axes.imshow(values, cmap=colours, vmin=0, vmax=highest, interpolation="nearest")
        scale = axes.inset_axes((0.0, -0.06, 1.0, 0.03))
        axes.figure.colorbar(shown, cax=scale, orientation="horizontal")

    return draw
