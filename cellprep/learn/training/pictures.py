"""Pictures of validation images: true maps, predicted maps and their differences."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.panels import Panel, show_image
from cellprep.learn.training.journal import Row
from cellprep.system.output import write_whole

if TYPE_CHECKING:
    from cellprep.learn.training.trainer import Shown


def has_matplotlib() -> bool:
    """Return whether Matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def draw_validation(folder: Path, settings: NetworkSettings, shown: "list[Shown]", row: Row) -> None:
    """Draw images with their true and predicted maps, one PNG each, named by the image and its part.

    Raises
    ------
    OutputError
        If a picture cannot be written.
    """
    from matplotlib.figure import Figure

    for item in shown:
        name = " ".join([*item.batch["id"], *item.batch.get("part", ())])
        panels = _panels(settings, item)
        height, width = item.batch["mask"].shape[-2:]
        figure = Figure(figsize=(4.5 * len(panels), 4.5 * height / width + 0.9), dpi=110, layout="constrained")
        for axes, (title, draw) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
            draw(axes)
            axes.set(title=title, xticks=[], yticks=[])
        figure.suptitle(f"{name}  ·  epoch {row['epoch']:.0f}".replace("$", r"\$"))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        write_whole(folder / f"{name}.png", buffer.getvalue())


def _panels(settings: NetworkSettings, item: "Shown") -> dict[str, Panel]:
    """Return the panels of an image by title: the true map, the predicted map and the error of each map."""
    true = {name: value[0].numpy() for name, value in item.batch.items() if name not in ("id", "part")}
    found = {name: value[0].numpy() for name, value in item.maps.items()}
    image = {"image": show_image(true["image"])} if "image" in true else {}
    return image | settings.kind.panels(settings, found, true)
