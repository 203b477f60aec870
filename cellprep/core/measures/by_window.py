"""Measurements of all cells of an image, window by window. Cells that cross window borders are measured whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.measures import PROPERTIES, Region
from cellprep.core.measures.region import Read, around
from cellprep.core.windows import Window

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Readable:
    """An image and its labels, readable in windows.

    Attributes
    ----------
    shape
        (H, W), in pixels.
    labels
        Returns the labels in a window: integers, 0 = background.
    windows
        Windows that cover the image, without overlap.
    channels
        Number of channels of the image; 0 without an image.
    pixels
        Returns the image in a window: (C, h, w).
    """

    shape: tuple[int, int]
    labels: Read
    windows: Sequence[Window]
    channels: int = 0
    pixels: Read | None = None


def measure_cells(image: Readable, properties: Iterable[str]) -> Columns:
    """Measure all cells of an image.

    A cell is measured with the window that contains the first corner of its bounding box. The part of the image that is
    read contains all of that window's cells.

    Parameters
    ----------
    image
        The image.
    properties
        Names in `PROPERTIES`; intensity properties are omitted if there is no image.

    Returns
    -------
    dict of str to ndarray
        ``label``, in ascending order, then the columns of each property: (n,) each.

    Examples
    --------
    >>> labels = np.array([[4, 4, 0, 9], [0, 4, 0, 9]])
    >>> image = Readable(labels.shape, labels.__getitem__, [(slice(0, 2), slice(0, 4))])
    >>> measure_cells(image, ["area", "nearest_distance"])
    {'label': array([4, 9]), 'area': array([3., 2.]), 'nearest_distance': array([2., 2.])}
    """
    chosen = [name for name in dict.fromkeys(properties) if image.channels or not PROPERTIES[name].of_pixels]
    parts = [_measure(region, chosen, image.channels) for region in _regions(image)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["label"])
    return {name: values[order] for name, values in columns.items()}


def in_micrometres(name: str, columns: Columns, side: float) -> Columns:
    """Convert the columns of a property to micrometres, if its unit contains a length; `side` is the side of a pixel.

    Examples
    --------
    >>> in_micrometres("area", {"area": np.array([3.0])}, 0.5)
    {'area_um2': array([0.75])}
    """
    one = PROPERTIES[name]
    names = zip(one.columns(name), one.columns(name, in_micrometres=True), strict=False)
    return {there: columns[here] * side**one.power for here, there in names}


def _regions(image: Readable) -> Iterator[Region]:
    """Yield the whole cells of each window; for an image without cells one empty region, to get all columns."""
    numbers, boxes = _boxes(image)
    if not len(numbers):
        yield Region(np.zeros((1, 1), np.int64), (0, 0), numbers, boxes, None, image.shape, image.labels)
    for down, across in image.windows:
        starts = (boxes[:, 0] >= down.start) & (boxes[:, 0] < down.stop)
        starts &= (boxes[:, 1] >= across.start) & (boxes[:, 1] < across.stop)
        if not starts.any():
            continue
        here = boxes[starts]
        window = around(here, 1, image.shape)
        yield Region(
            labels=image.labels(window),
            origin=(window[0].start, window[1].start),
            numbers=numbers[starts],
            boxes=here,
            pixels=image.pixels(window) if image.pixels else None,
            shape=image.shape,
            read=image.labels,
        )


def _boxes(image: Readable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels that occur, in ascending order, and their boxes: (n,), and (n, 4) as `Region.boxes`."""
    from scipy.ndimage import find_objects

    found = [np.zeros((0, 5), np.int64)]
    for window in image.windows:
        down, across = (part.start for part in window)
        pieces = [
            (label, rows.start + down, columns.start + across, rows.stop + down, columns.stop + across)
            for label, (rows, columns) in _objects(find_objects(image.labels(window)))
        ]
        found.append(np.array(pieces, np.int64).reshape(-1, 5))
    pieces_of_all = np.concatenate(found)
    pieces_of_all = pieces_of_all[np.argsort(pieces_of_all[:, 0], kind="stable")]
    numbers, first = np.unique(pieces_of_all[:, 0], return_index=True)
    if not len(numbers):
        return numbers, np.zeros((0, 4), np.int64)
    lows = np.minimum.reduceat(pieces_of_all[:, 1:3], first, axis=0)
    highs = np.maximum.reduceat(pieces_of_all[:, 3:5], first, axis=0)
    return numbers, np.concatenate([lows, highs], axis=1)


def _objects(found: list[Any]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    return ((label, box) for label, box in enumerate(found, start=1) if box is not None)


def _measure(region: Region, properties: Sequence[str], channels: int) -> Columns:
    columns: Columns = {"label": region.numbers}
    of_cells = {name: PROPERTIES[name] for name in properties if PROPERTIES[name].of_cell}
    rows = [[one.of_cell(cell) for one in of_cells.values() if one.of_cell] for cell in region.cells()]
    by_name = dict(zip(of_cells, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(of_cells, ())
    for name in properties:
        one = PROPERTIES[name]
        names = one.columns(name, channels)
        values = one.of_region(region) if one.of_region else by_name[name]
        numbers: NDArray[Any] = np.array(values, one.kind).reshape(len(region.numbers), len(names))
        columns |= dict(zip(names, numbers.T, strict=True))
    return columns
