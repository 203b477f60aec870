"""The panels of a picture: each draws one array of an image."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cellprep.commands.preview.view import View
from cellprep.core.colours import SEMSEG_COLOURS, label_colours, outlined, vector_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_ARROWS = 36  # in a row or a column
_BAR = (0.0, -0.15, 1.0, 0.035)  # a scale below its panel, in shares of it


def draw_outlined(axes: "Axes", view: View) -> None:
    """Draw the image and the cells' outlines; a veil where regions are to be ignored, a bar if pixels have a size."""
    _show(axes, view, outlined(view.grey, view.labels))
    if view.ignored is not None:
        veil = np.zeros((*view.ignored.shape, 4))
        veil[view.ignored > 0] = (1, 1, 1, 0.5)
        _show(axes, view, veil)
    if view.pixel_size:
        _draw_length(axes, view, view.pixel_size)


def draw_labels(axes: "Axes", view: View) -> None:
    """Draw each cell in a colour of its own."""
    _show(axes, view, label_colours(view.labels))


def draw_classes(axes: "Axes", view: View) -> None:
    """Draw the channels of semseg, and name them."""
    _show(axes, view, SEMSEG_COLOURS[view.target("semseg").argmax(axis=2)])
    for name, colour in zip(("cell", "wall", "background"), SEMSEG_COLOURS / 255, strict=True):
        axes.plot([], [], "s", color=colour, markeredgecolor="0.5", label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False, handletextpad=0.1, borderpad=0)


def draw_vectors(axes: "Axes", view: View) -> None:
    """Draw vectors in the colours of their directions, and as arrows where few enough pixels are seen."""
    vectors = view.target("uvec")
    _show(axes, view, vector_colours(vectors))
    if view.crop is None:
        return
    step = -(-max(vectors.shape[:2]) // _MOST_ARROWS)
    y, x = np.mgrid[step // 2 : vectors.shape[0] : step, step // 2 : vectors.shape[1] : step]
    arrows = vectors[y, x]
    there = (arrows != 0).any(axis=-1)
    axes.quiver(
        x[there] * view.step + view.left,
        y[there] * view.step + view.top,
        arrows[there][:, 1],
        arrows[there][:, 0],
        angles="xy",
        scale_units="xy",
        scale=1 / (0.85 * step * view.step),
        pivot="middle",
        color="black",
        width=0.004,
    )


def draw_distance(axes: "Axes", view: View) -> None:
    """Draw the distance, and its scale."""
    distance = view.target("distance")
    _with_bar(axes, _show(axes, view, distance, cmap="viridis", vmin=0, vmax=max(1.0, float(distance.max()))))


def draw_energy(axes: "Axes", view: View) -> None:
    """Draw energy levels, each in a colour of its own, and from which distance on each of them begins."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm

    starts = [0.0, *view.bins]
    norm = BoundaryNorm(np.arange(len(starts) + 1) - 0.5, len(starts))
    shown = _show(axes, view, view.target("energy"), cmap=colormaps["viridis"].resampled(len(starts)), norm=norm)
    every = max(1, -(-len(starts) // 9))
    places = range(0, len(starts), every)
    bar = _with_bar(axes, shown)
    bar.set_ticks(list(places), labels=[f"{level}\n{starts[level]:.3g}" for level in places])


def draw_area(axes: "Axes", view: View) -> None:
    """Draw the area of the cell that owns a pixel, on a logarithmic scale."""
    from matplotlib.colors import LogNorm

    areas = view.target("area")
    owned = areas[view.labels > 0]
    low, high = (float(owned.min()), float(owned.max())) if owned.size else (1.0, 1.0)
    masked = np.ma.masked_where(view.labels == 0, areas)
    bar = _with_bar(axes, _show(axes, view, masked, cmap="viridis", norm=LogNorm(low, max(high, 1.01 * low))))
    round_areas = [factor * 10**power for power in range(9) for factor in (1, 2, 5)]
    ticks = [area for area in round_areas if low <= area <= high]
    ticks = ticks if len(ticks) > 1 else sorted({low, high})
    bar.set_ticks(ticks, labels=[f"{tick:,.0f}" for tick in ticks])
    bar.minorticks_off()


def _show(axes: "Axes", view: View, values: Any, **how: Any) -> Any:
    """Draw values where their pixels are in the image, so that the axes tell pixels."""
    height, width = values.shape[:2]
    edges = (
        view.left - 0.5,
        view.left + width * view.step - 0.5,
        view.top + height * view.step - 0.5,
        view.top - 0.5,
    )
    return axes.imshow(values, extent=edges, interpolation="nearest", **how)


def _with_bar(axes: "Axes", shown: Any) -> Any:
    scale = axes.inset_axes(_BAR)
    return axes.figure.colorbar(shown, cax=scale, orientation="horizontal")


def _draw_length(axes: "Axes", view: View, pixel_size: float) -> None:
    """Draw a bar of a round length, a fifth of the width or less."""
    width = view.labels.shape[1] * view.step
    longest = width * pixel_size / 5
    power = 10.0 ** np.floor(np.log10(longest))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= longest)
    right = view.left + 0.96 * width
    y = view.top + 0.94 * view.labels.shape[0] * view.step
    axes.plot([right - length / pixel_size, right], [y, y], color="white", linewidth=4, solid_capstyle="butt")
    axes.text(
        right - length / pixel_size / 2, y, f"{length:g} µm\n", color="white", ha="center", va="baseline", fontsize=12
    )
