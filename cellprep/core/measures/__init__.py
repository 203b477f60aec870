"""Measurements of cells: sizes, shapes, neighbours and intensities, named as in scikit-image's regionprops_table.

To add a property, add a line to `PROPERTIES`.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from cellprep.core.measures.cell import Cell
from cellprep.core.measures.neighbours import nearest_distances, touching_cells
from cellprep.core.measures.outline import perimeters
from cellprep.core.measures.property import Property
from cellprep.core.measures.region import Region

__all__ = ["DEFAULT_PROPERTIES", "PROPERTIES", "Cell", "Property", "Region"]


def _filled_area(cell: Cell) -> float:
    from scipy.ndimage import binary_fill_holes

    return float(np.count_nonzero(binary_fill_holes(cell.mask, np.ones((3, 3)))))


def _euler_number(cell: Cell) -> int:
    from skimage.measure import euler_number

    return int(euler_number(cell.mask, 2))


def _crofton_perimeter(cell: Cell) -> float:
    from skimage.measure import perimeter_crofton

    return float(perimeter_crofton(cell.mask, 4))


def _intensity(statistic: Callable[..., Any]) -> Property:
    """Return an intensity property: a NumPy function of a cell's pixels, for each channel."""
    return Property(lambda cell: statistic(cell.values, axis=0), of_pixels=True)


#: The properties by name. Values equal those of scikit-image under the same name, bit for bit.
PROPERTIES: dict[str, Property] = {
    "area": Property(lambda cell: cell.area, power=2),
    "area_bbox": Property(lambda cell: cell.mask.size, power=2),
    "area_convex": Property(lambda cell: cell.convex_area, power=2),
    "area_filled": Property(_filled_area, power=2),
    "centroid": Property(lambda cell: cell.centroid, power=1, parts=2),
    "bbox": Property(lambda cell: cell.box, parts=4, kind=int),
    "perimeter": Property(of_region=perimeters, power=1),
    "perimeter_crofton": Property(_crofton_perimeter, power=1),
    "axis_major_length": Property(lambda cell: 4 * sqrt(cell.inertia_eigenvalues[0]), power=1),
    "axis_minor_length": Property(lambda cell: 4 * sqrt(cell.inertia_eigenvalues[1]), power=1),
    "eccentricity": Property(lambda cell: cell.eccentricity),
    "orientation": Property(lambda cell: cell.orientation),
    "equivalent_diameter_area": Property(lambda cell: (4 * cell.area / pi) ** (1 / 2), power=1),
    "feret_diameter_max": Property(lambda cell: cell.feret_diameter_max, power=1),
    "solidity": Property(lambda cell: cell.area / cell.convex_area),
    "extent": Property(lambda cell: cell.area / cell.mask.size),
    "euler_number": Property(_euler_number, kind=int),
    "touching_cells": Property(of_region=touching_cells, kind=int),
    "nearest_distance": Property(of_region=nearest_distances, power=1),
    "intensity_mean": _intensity(np.mean),
    "intensity_median": _intensity(np.median),
    "intensity_std": _intensity(np.std),
    "intensity_min": _intensity(np.min),
    "intensity_max": _intensity(np.max),
    "intensity_sum": _intensity(lambda values, axis: np.sum(values, axis=axis, dtype=float)),
}

#: Properties measured by default.
DEFAULT_PROPERTIES = (
    *("area", "centroid", "bbox", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity"),
    *("solidity", "feret_diameter_max", "touching_cells", "nearest_distance"),
    *(name for name, one in PROPERTIES.items() if one.of_pixels),
)
