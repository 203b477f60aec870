"""Properties of cells: how they are measured, and the names of their columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cellprep.core.measures.cell import Cell
from cellprep.core.measures.region import Region

_UNITS = {0: "", 1: "_um", 2: "_um2"}


@dataclass(frozen=True, slots=True)
class Property:
    """A property of cells.

    Attributes
    ----------
    of_cell
        Measures one cell: returns a number, or `parts` numbers; for intensity properties one per channel.
    of_region
        Alternatively, measures all cells of a region: returns (n,).
    power
        Power of the length unit: 1 for lengths, 2 for areas, 0 for quantities without a length.
    parts
        Number of columns.
    kind
        Type of the values.
    of_pixels
        Whether it is measured on the image, for each channel.
    """

    of_cell: Callable[[Cell], Any] | None = None
    of_region: Callable[[Region], Any] | None = None
    power: int = 0
    parts: int = 1
    kind: type = float
    of_pixels: bool = False

    def columns(self, name: str, channels: int = 0, *, in_micrometres: bool = False) -> list[str]:
        """Return the names of its columns, as in `skimage.measure.regionprops_table`.

        Examples
        --------
        >>> Property(parts=2, power=1).columns("centroid", in_micrometres=True)
        ['centroid-0_um', 'centroid-1_um']
        >>> Property(of_pixels=True).columns("intensity_mean", channels=3)
        ['intensity_mean-0', 'intensity_mean-1', 'intensity_mean-2']
        """
        if in_micrometres and not self.power:
            return []
        unit = _UNITS[self.power] if in_micrometres else ""
        number = channels if self.of_pixels else self.parts
        return [f"{name}{unit}"] if number == 1 else [f"{name}-{k}{unit}" for k in range(number)]
