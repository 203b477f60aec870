"""Contact sheets: many images of a store in one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellprep.commands.preview.saving import new_figure, save
from cellprep.commands.preview.view import View
from cellprep.core.colours import outlined
from cellprep.store import StoredImage
from cellprep.system.progress import progress_bar
from cellprep.text.wording import count, printable

#: Maximum number of images on a sheet.
MOST_TILES = 100

_TILE = 2.6  # inches


def draw_contact_sheet(images: Sequence[StoredImage], path: Path | str, *, quiet: bool = True) -> None:
    """Draw images with their cells outlined, in rows.

    Parameters
    ----------
    images
        From ``open_store(...)[image_id]``, at least one and at most `MOST_TILES`.
    path
        The picture to write; its extension, such as ``.png``, is a format that Matplotlib writes.
    quiet
        Whether to hide progress.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If the format of the picture is unknown.
    OutputError
        If the picture cannot be written.
    """
    path = Path(path)
    columns = min(len(images), max(4, int(np.ceil(len(images) ** 0.5))))
    rows = -(-len(images) // columns)
    slimness = float(np.clip(np.median([image.shape[0] / image.shape[1] for image in images]), 0.4, 2.5))
    figure = new_figure(path, columns * _TILE, rows * (_TILE * slimness + 0.55))
    for axes in figure.subplots(rows, columns, squeeze=False).ravel():
        axes.set_axis_off()
    with progress_bar(len(images), "image", quiet=quiet) as bar:
        for axes, image in zip(figure.axes, images, strict=False):
            view = View(image)
            axes.imshow(outlined(view.grey, view.labels), interpolation="antialiased")
            axes.set_title(_title(image), fontsize=8)
            bar.update()
    save(figure, path)


def _title(image: StoredImage) -> str:
    name = printable(image.id)
    name = name if len(name) <= 26 else f"{name[:12]}…{name[-12:]}"
    cell_type = image.metadata.cell_type
    kind = f"{printable(cell_type)}, " if cell_type else ""
    return f"{name}\n{kind}{count(image.metadata.cells, 'cell')}".replace("$", r"\$")
