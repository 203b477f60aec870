"""The content of an image in a store, made from its annotations: all at once, or in blocks if the image is huge."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import hidden_labels
from cellprep.core.targets import Recipe
from cellprep.core.targets.by_window import CellsOfRuns, TargetsByWindow
from cellprep.formats.annotations.record import Annotations
from cellprep.store.blocks import ArrayForm, Blocks
from cellprep.store.documents import is_huge
from cellprep.system.executor import one_opencv_thread
from cellprep.system.memory import check_memory

_BYTES_BESIDE = 5  # of memory per pixel: labels and the image itself

Arrays = dict[str, NDArray[Any]]


class Content(NamedTuple):
    """The arrays of an image, or their forms and sources, and facts about each annotation.

    Attributes
    ----------
    arrays, blocks
        As in `cellprep.store.ImageContent`.
    areas
        (n,) int64: number of pixels of each annotation before overlaps are resolved.
    hidden
        (k,) int64: as in `cellprep.Cells.hidden`.
    """

    arrays: dict[str, NDArray[Any] | ArrayForm]
    blocks: Blocks | None
    areas: NDArray[np.int64]
    hidden: NDArray[np.int64]


def make_content(annotations: Annotations, pixels: NDArray[Any] | None, recipe: Recipe, threads: int) -> Content:
    """Make the labels and targets of an image, and add its pixels.

    Parameters
    ----------
    annotations
        The annotations of the image.
    pixels
        (H, W) or (C, H, W): the image itself, if there is one.
    recipe
        How to make the targets.
    threads
        Number of threads for a huge image.

    Raises
    ------
    TooLargeError
        If the image does not fit into memory.
    """
    shape = annotations.runs.shape
    cells = CellsOfRuns(annotations.runs, recipe.overlap, annotations.areas, threads)
    targets = TargetsByWindow(cells, recipe)

    def compute(rows: slice, columns: slice) -> Arrays:
        return _complete(targets.at(rows, columns), annotations, pixels, (rows, columns))

    if is_huge(shape):
        forms: dict[str, NDArray[Any] | ArrayForm] = {**_forms(compute(slice(0, 1), slice(0, 1)), shape)}
        return Content(forms, Blocks(compute, threads), cells.areas, cells.hidden())
    height, width = shape
    bytes_a_pixel = _BYTES_BESIDE + sum(target.bytes_a_pixel(recipe) for target in recipe.stored.values())
    check_memory(height * width * bytes_a_pixel, f"building it, {height} x {width} pixels,")
    with one_opencv_thread():
        arrays = compute(slice(0, height), slice(0, width))
    return Content({**arrays}, None, cells.areas, hidden_labels(arrays["labels"], len(cells.areas)))


def _forms(arrays: Arrays, shape: tuple[int, int]) -> dict[str, ArrayForm]:
    """Return the forms of the arrays of an image, given those of some of its pixels."""
    return {
        name: ArrayForm(
            (*array.shape[:-2], *shape) if name == "image" else (*shape, *array.shape[2:]), array.dtype.name
        )
        for name, array in arrays.items()
    }


def _complete(
    arrays: Arrays, annotations: Annotations, pixels: NDArray[Any] | None, window: tuple[slice, slice]
) -> Arrays:
    """Add what the source itself provides to the labels and targets of a window."""
    complete = {} if pixels is None else {"image": pixels[(..., *window)]}
    complete.update(arrays)
    if annotations.ignore is not None:  # except for pixels of annotated cells
        complete["ignore"] = (annotations.ignore[window] & (arrays["labels"] == 0)).astype(np.uint8)
    return complete
