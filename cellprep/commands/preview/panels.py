"""The panels of a picture: each draws one array of an image."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.preview.view import View
from cellprep.core.colours import class_colours, label_colours, outlined, vector_colours
from cellprep.core.targets import Target
from cellprep.core.targets.target import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_ARROWS = 36  # in a row or a column
_BAR = (0.0, -0.15, 1.0, 0.035)  # the scale below a panel, as fractions of the panel


def draw_outlined(axes: "Axes", view: View) -> None:
    """Draw the image, the cells' outlines and a veil over regions to ignore; a scale bar if the pixel size is known."""
    _show(axes, view, outlined(view.grey, view.labels))
    if view.ignored is not None:
        veil = np.zeros((*view.ignored.shape, 4))
        veil[view.ignored > 0] = (1, 1, 1, 0.5)
        _show(axes, view, veil)
    if view.pixel_size:
        _draw_length(axes, view, view.pixel_size)


def draw_labels(axes: "Axes", view: View) -> None:
    """Draw each cell in its own colour."""
    _show(axes, view, label_colours(view.labels))


def draw_target(axes: "Axes", view: View, target: Target, channel: int | None = None) -> None:
    """Draw a target according to its kind: one of its channels, or all at once."""
    if isinstance(target, Values):
        _draw_values(axes, view, target, channel)
    else:
        _KINDS[target.kind](axes, view, target)


def _draw_classes(axes: "Axes", view: View, target: Any) -> None:
    """Draw the classes of pixels, with a legend."""
    colours = class_colours(len(target.classes))
    _show(axes, view, colours[view.target(target.name).argmax(axis=2)])
    for name, colour in zip(target.classes, colours / 255, strict=True):
        axes.plot([], [], "s", color=colour, markeredgecolor="0.5", label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False, handletextpad=0.1, borderpad=0)


def _draw_vectors(axes: "Axes", view: View, target: Target) -> None:
    """Draw vectors in the colours of their directions; in a crop, also as arrows."""
    vectors = view.target(target.name)
    _show(axes, view, vector_colours(vectors))
    if view.crop is None:
        return
    step = -(-max(vectors.shape[:2]) // _MOST_ARROWS)
    y, x = np.mgrid[step // 2 : vectors.shape[0] : step, step // 2 : vectors.shape[1] : step]
    arrows = vectors[y, x] / max(1.0, float(np.linalg.norm(vectors, axis=-1).max()))
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


def _draw_levels(axes: "Axes", view: View, target: Target) -> None:
    """Draw levels, each in its own colour, and a scale with the distance at which each begins."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm

    starts = [0.0, *view.bins]
    norm = BoundaryNorm(np.arange(len(starts) + 1) - 0.5, len(starts))
    shown = _show(axes, view, view.target(target.name), cmap=colormaps["viridis"].resampled(len(starts)), norm=norm)
    every = max(1, -(-len(starts) // 9))
    places = range(0, len(starts), every)
    bar = _with_bar(axes, shown)
    bar.set_ticks(list(places), labels=[f"{level}\n{starts[level]:.3g}" for level in places])


def _draw_values(axes: "Axes", view: View, target: Values, channel: int | None) -> None:
    """Draw values and their scale; 0 is white if there are negative values."""
    seen = view.target(target.name)
    values = (seen if channel is None else seen[..., channel]).astype(float)
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    if target.is_logarithmic:
        _draw_logarithmic(axes, view, values)
    elif low < 0:
        high = max(high, -low)
        _with_bar(axes, _show(axes, view, values, cmap="RdBu_r", vmin=-high, vmax=high))
    else:
        _with_bar(axes, _show(axes, view, values, cmap="viridis", vmin=low, vmax=high))


def _draw_logarithmic(axes: "Axes", view: View, values: NDArray[Any]) -> None:
    """Draw the values of cells on a logarithmic scale."""
    from matplotlib.colors import LogNorm

    owned = values[view.labels > 0]
    low, high = (float(owned.min()), float(owned.max())) if owned.size else (1.0, 1.0)
    masked = np.ma.masked_where(view.labels == 0, values)
    bar = _with_bar(axes, _show(axes, view, masked, cmap="viridis", norm=LogNorm(low, max(high, 1.01 * low))))
    round_values = [factor * 10**power for power in range(9) for factor in (1, 2, 5)]
    ticks = [value for value in round_values if low <= value <= high]
    ticks = ticks if len(ticks) > 1 else sorted({low, high})
    bar.set_ticks(ticks, labels=[f"{tick:,.0f}" for tick in ticks])
    bar.minorticks_off()


_KINDS: dict[str, Callable[["Axes", View, Any], None]] = {
    "classes": _draw_classes,
    "vectors": _draw_vectors,
    "levels": _draw_levels,
}


def _show(axes: "Axes", view: View, values: Any, **how: Any) -> Any:
    """Draw values at the positions of their pixels in the image, so that the axes show pixels."""
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
    """Draw a scale bar of a round length, at most a fifth of the width."""
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
