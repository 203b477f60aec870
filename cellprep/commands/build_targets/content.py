"""What a store holds of an image, made from its annotations: at once, or block by block if it is huge."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import resolve_overlaps
from cellprep.core.targets import Recipe, compute_targets
from cellprep.core.targets.by_window import TargetsByWindow
from cellprep.formats.annotations.record import Annotations
from cellprep.store.blocks import ArrayForm, Blocks
from cellprep.store.documents import is_huge
from cellprep.system.executor import one_opencv_thread
from cellprep.system.memory import check_memory

_BYTES_A_PIXEL = 25  # of memory, at the least: those of the arrays

Arrays = dict[str, NDArray[Any]]


class Content(NamedTuple):
    """The arrays of an image, or their forms and where they come from; what is known of each annotation.

    Attributes
    ----------
    arrays, blocks
        As `cellprep.store.ImageContent` has them.
    areas
        (n,) int64: pixels of each annotation before overlaps.
    hidden
        (k,) int64: as `cellprep.Cells.hidden`.
    """

    arrays: dict[str, NDArray[Any] | ArrayForm]
    blocks: Blocks | None
    areas: NDArray[np.int64]
    hidden: NDArray[np.int64]


def make_content(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, threads: int) -> Content:
    """Make the labels and targets of an image, and put its own pixels beside them.

    Parameters
    ----------
    annotations
        Of the image.
    pixels
        (H, W) or (C, H, W): the image itself, if there is one.
    recipe
        How.
    threads
        How many make a huge image.

    Raises
    ------
    TooLargeError
        If there is not the memory for it.
    """
    if is_huge(annotations.runs.shape):
        return _by_blocks(annotations, pixels, recipe, threads)
    height, width = annotations.runs.shape
    check_memory(height * width * _BYTES_A_PIXEL, f"building it, {height} x {width} pixels,")
    cells = resolve_overlaps(annotations.runs, recipe.overlap, annotations.areas)
    hidden = cells.hidden()
    with one_opencv_thread():
        arrays = {"labels": cells.labels, **compute_targets(cells, recipe)}
    whole = (slice(0, height), slice(0, width))
    return Content({**_complete(arrays, annotations, pixels, whole)}, None, cells.areas, hidden)


def _by_blocks(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, threads: int) -> Content:
    targets = TargetsByWindow(annotations.runs, recipe, annotations.areas, threads=threads)

    def compute(rows: slice, columns: slice) -> Arrays:
        return _complete(targets.at(rows, columns), annotations, pixels, (rows, columns))

    height, width = annotations.runs.shape
    forms = {}
    for name, array in compute(slice(0, 1), slice(0, 1)).items():
        shape = (*array.shape[:-2], height, width) if name == "image" else (height, width, *array.shape[2:])
        forms[name] = ArrayForm(shape, array.dtype.name)
    return Content({**forms}, Blocks(compute, threads), targets.areas, targets.hidden)


def _complete(
    arrays: Arrays, annotations: Annotations, pixels: NDArray[Any] | None, window: tuple[slice, slice]
) -> Arrays:
    """Put what the source itself has beside the labels and targets of a window."""
    complete = {} if pixels is None else {"image": pixels[(..., *window)]}
    complete.update(arrays)
    if annotations.ignore is not None:  # but for pixels of annotated cells
        complete["ignore"] = (annotations.ignore[window] & (arrays["labels"] == 0)).astype(np.uint8)
    return complete
