"""The content of an image that is exported: its labels, and the type of each cell that has pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError
from cellprep.store import StoredImage


@dataclass(frozen=True, slots=True)
class Content:
    """The cells of one image.

    Attributes
    ----------
    image_id
        The image.
    labels
        (H, W) uint16 or uint32, 0 = background.
    visible
        The labels that have pixels, in ascending order.
    cell_types
        The type of each of these; empty text where the source has none.
    image_type
        The type of most cells; empty text if the source has none.
    ignore
        (H, W), non-zero in regions to ignore; None if there are none.
    pixel_size
        Side of a pixel in micrometres, if known.
    hidden_rows
        Source rows of the cells without pixels.
    """

    image_id: str
    labels: NDArray[Any]
    visible: list[int]
    cell_types: list[str]
    image_type: str
    ignore: NDArray[Any] | None
    pixel_size: float | None
    hidden_rows: tuple[int, ...]


def read_content(image: StoredImage) -> Content:
    """Read what can be exported of an image.

    Raises
    ------
    StoreError
        If its arrays are damaged, or contradict each other.
    """
    labels, cells = image.read("labels"), image.read("cells")
    areas = np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:]
    if len(areas) > len(cells) or labels.shape != image.shape:
        raise StoreError(f"{image.path}: its labels and its table of {len(cells)} cells contradict each other")
    names = [*image.metadata.categories, ""]  # index -1 is the last
    ignore = image.read("ignore") if "ignore" in image.arrays else None
    return Content(
        image_id=image.id,
        labels=labels,
        visible=(np.flatnonzero(areas) + 1).tolist(),
        cell_types=[names[index] for index in cells[areas > 0, 2]],
        image_type=image.metadata.cell_type or "",
        ignore=ignore if ignore is not None and ignore.any() else None,
        pixel_size=image.metadata.pixel_size,
        hidden_rows=tuple(cells[areas == 0, 0].tolist()),
    )
