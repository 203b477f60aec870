"""Cellpose's flows: unit vectors along the gradient of heat that diffuses from the centre of each cell.

The rules are those of the code of cellpose 4.2.1.1 (`dynamics.labels_to_flows`, on the CPU), not of its papers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.heat import CellRuns, Places, ranges, spread

_NO_SLOPE = 1e-60  # added to the length by which a vector is divided
# Rounding changes heat by a relative 1e-15 per step at most, and thus vectors by less than 2e-5 where the slope exceeds
# this share of the heat.
_ROUNDING = 2.0**-33

Slopes = tuple[NDArray[np.float64], NDArray[np.float64]]


def flows(labels: NDArray[Any], steps: int | None = None) -> NDArray[np.float32]:
    """Return Cellpose's flows.

    In each step every cell gets heat of 1 at its centre. Then the heat of each pixel becomes the sum over itself and
    those of its eight neighbours in the same cell, divided by 9. The flow of a pixel is the difference of the final
    heat on both of its sides, along y and x, scaled to unit length. Neighbours in other cells count with their heat;
    the background and pixels beyond the image have none.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing. A cell is all pixels of one number, connected or not.
        Components without the centre stay cold.
    steps
        Number of steps, if the image has other cells as well: see `steps_of`.

    Returns
    -------
    ndarray
        (H, W, 2) float32, components (y, x), of length 1; 0 on the background and where there is no slope. For slopes
        near 1e-60 the length approaches 0.

    Examples
    --------
    >>> flows(np.array([[1, 1, 1, 0, 2]]))[..., 1]
    array([[ 1.,  0., -1.,  0.,  0.]], dtype=float32)
    """
    cells = CellRuns.of(labels)
    steps = _steps(cells) if steps is None else steps
    y, x = _slopes(cells, steps)
    length = np.sqrt(y * y + x * x) + _NO_SLOPE
    vectors = np.zeros((*labels.shape, 2), np.float32)
    row, column = np.divmod(cells.first, cells.stride)
    inside = ranges((row - 1) * labels.shape[1] + column - 1, cells.length)
    vectors.reshape(-1, 2)[inside, 0] = y / length + 0.0  # turns -0.0 into 0.0
    vectors.reshape(-1, 2)[inside, 1] = x / length + 0.0
    return vectors


def steps_of(sizes: NDArray[Any]) -> int:
    """Return the number of diffusion steps for cells of given heights and widths, (n, 2): twice the largest sum, + 4.

    Examples
    --------
    >>> steps_of(np.array([[1, 3], [1, 1]]))
    12
    """
    return 2 * (int(np.ceil(np.sum(sizes, axis=1).max(initial=0))) + 2)


def _steps(cells: CellRuns) -> int:
    top, bottom, left, right = _corners(cells)
    return steps_of(np.stack([bottom - top, right - left], axis=1) + 1)


def _slopes(cells: CellRuns, steps: int) -> Slopes:
    """Return the difference of the heat on both sides of each pixel of `CellRuns.pixels`, along y and x.

    On ridges where both sides are equally warm, and at the centres of symmetric cells, rounding of the last bits
    determines the direction. The heat there is summed again in Cellpose's order.
    """
    if not len(cells.first):
        return np.empty(0), np.empty(0)
    centres = _centres(cells)
    (y, x), warmest = _differences(spread(cells, centres, steps, in_order=False), cells.pixels, cells.stride)
    unclear = np.flatnonzero(np.maximum(np.abs(y), np.abs(x)) < steps * _ROUNDING * warmest)
    if len(unclear):
        pixels = cells.pixels[unclear]
        sides = np.stack([pixels + cells.stride, pixels - cells.stride, pixels + 1, pixels - 1])
        wanted = np.isin(cells.labels, np.unique(cells.image[sides]))
        heat = spread(cells.only(wanted), centres[wanted], steps, in_order=True)
        (y[unclear], x[unclear]), _ = _differences(heat, pixels, cells.stride)
    return y, x


def _differences(heat: NDArray[np.float64], pixels: Places, stride: int) -> tuple[Slopes, NDArray[np.float64]]:
    """Return the differences of heat between both sides of pixels along y and x, and the largest heat."""
    below, above = heat[pixels + stride], heat[pixels - stride]
    warmest = np.maximum(below, above)
    below -= above
    right, left = heat[pixels + 1], heat[pixels - 1]
    np.maximum(warmest, right, out=warmest)
    np.maximum(warmest, left, out=warmest)
    right -= left
    return (below, right), warmest


def _corners(cells: CellRuns) -> tuple[Places, Places, Places, Places]:
    """Return the first and last row, and the first and last column, of each cell."""
    row, column = np.divmod(cells.first, cells.stride)
    if not len(row):
        return row, row, row, row
    tails = np.append(cells.heads[1:], len(row)) - 1
    left = np.minimum.reduceat(column, cells.heads)
    right = np.maximum.reduceat(column + cells.length - 1, cells.heads)
    return row[cells.heads], row[tails], left, right


def _centres(cells: CellRuns) -> Places:
    """Return the pixel of each cell at which heat is added.

    It is the mean of its pixels, rounded to integers relative to the corner of its bounding box, halves to even. If
    that pixel is not in the cell, it is the nearest pixel of the cell, the first one in a tie.
    """
    top, _, left, _ = _corners(cells)
    row, column = np.divmod(cells.first, cells.stride)
    row, column = row - top[cells.cell], column - left[cells.cell]
    size = np.add.reduceat(cells.length, cells.heads)
    columns = column * cells.length + cells.length * (cells.length - 1) // 2  # sum in each run
    y = top + _rounded(np.add.reduceat(row * cells.length, cells.heads) / size)
    x = left + _rounded(np.add.reduceat(columns, cells.heads) / size)
    centres = y * cells.stride + x
    for number in np.flatnonzero(cells.image[centres] != cells.labels).tolist():
        runs = slice(*np.searchsorted(cells.cell, [number, number + 1]))
        pixels = ranges(cells.first[runs], cells.length[runs])
        down, along = np.divmod(pixels, cells.stride)
        centres[number] = pixels[np.argmin((down - y[number]) ** 2 + (along - x[number]) ** 2)]
    return centres


def _rounded(means: NDArray[np.float64]) -> Places:
    return np.rint(means).astype(np.intp)
