"""Pictures of images and all their targets."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cellprep.commands.preview.panels import draw_labels, draw_outlined, draw_target
from cellprep.commands.preview.saving import new_figure, save
from cellprep.commands.preview.view import Crop, View
from cellprep.core.colours import draw_wheel
from cellprep.core.targets import TARGETS, Target
from cellprep.store import StoredImage
from cellprep.text.wording import count, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_PANEL = 5.0  # inches
_COLUMNS = 4

_Panel = Callable[["Axes", View], None]


def _panels(views: Sequence[View]) -> dict[str, _Panel]:
    """Return the functions that draw the panels, by title, for all targets of the images."""
    recipes = {name: view.image.recipe for view in views for name in view.image}
    targets = [target for name, target in TARGETS.items() if name in recipes]
    drawn = {
        title: partial(_draw_target, target=target, channel=channel)
        for target in targets
        for title, channel in target.panels(recipes[target.name]).items()
    }
    return {
        "image, cells outlined": draw_outlined,
        "labels": draw_labels,
        **drawn,
        **({"directions of vectors": draw_wheel} if any(target.kind == "vectors" for target in targets) else {}),
    }


def _draw_target(axes: "Axes", view: View, target: Target, channel: int | None) -> None:
    if target.name in view.image:
        draw_target(axes, view, target, channel)


def draw_targets(images: StoredImage | Sequence[StoredImage], path: Path | str, crop: Crop | None = None) -> None:
    """Draw images of a store and all their targets, one image below the other.

    Parameters
    ----------
    images
        From ``open_store(...)[image_id]``.
    path
        The picture to write; its extension, such as ``.png``, is a format that Matplotlib writes.
    crop
        The part to show; by default the whole image. In a part, vectors are also drawn as arrows.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If the format of the picture is unknown, or the crop extends beyond an image.
    OutputError
        If the picture cannot be written.
    """
    path = Path(path)
    views = [View(image, crop) for image in ([images] if isinstance(images, StoredImage) else images)]
    panels = _panels(views)
    rows = -(-len(panels) // _COLUMNS)
    heights = [rows * (_PANEL * _slimness(view) + 0.95) for view in views]
    figure = new_figure(path, _COLUMNS * _PANEL, sum(heights))
    parts = figure.subfigures(len(views), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, view in zip(parts, views, strict=True):
        _draw(part, view, panels)
    save(figure, path)


def _slimness(view: View) -> float:
    """Return height / width, limited to a factor of four either way."""
    height, width = view.shape
    return min(max(height / width, 0.25), 4.0)


def _draw(figure: "SubFigure", view: View, panels: dict[str, _Panel]) -> None:
    from matplotlib.ticker import MaxNLocator

    grid = figure.subplots(-(-len(panels) // _COLUMNS), _COLUMNS).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, draw) in zip(grid, panels.items(), strict=False):
        axes.set_facecolor("0.1")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=8, length=2)
        draw(axes, view)
        axes.set_title(title, fontsize=13)
    figure.suptitle(_title(view), fontsize=15)


def _title(view: View) -> str:
    height, width = view.image.shape
    parts = [
        printable(view.image.id),
        printable(view.image.metadata.cell_type or "") if view.image.metadata.cell_type else "",
        count(view.image.metadata.cells, "cell"),
        f"{height} x {width} pixels",
        f"rows {view.top} to {view.top + view.shape[0] - 1}, columns {view.left} to {view.left + view.shape[1] - 1}"
        if view.crop
        else "",
        f"shown at 1/{view.step} of the resolution" if view.step > 1 else "",
    ]
    return "  ·  ".join(part for part in parts if part).replace("$", r"\$")
