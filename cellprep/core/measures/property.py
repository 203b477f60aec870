"""What a property of cells is: how it is measured, and what its columns are called."""

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
        Measures one cell: a number, or `parts` of them; of the image one for each channel.
    of_region
        Measures all cells of a region at once instead: (n,).
    power
        Of the side of a pixel: 1 for lengths, 2 for areas, 0 for what has no unit, or none of length.
    parts
        The number of its columns.
    kind
        The type of its numbers.
    of_pixels
        Whether it is measured in the image, channel by channel.
    """

    of_cell: Callable[[Cell], Any] | None = None
    of_region: Callable[[Region], Any] | None = None
    power: int = 0
    parts: int = 1
    kind: type = float
    of_pixels: bool = False

    def columns(self, name: str, channels: int = 0, *, in_micrometres: bool = False) -> list[str]:
        """Return the names of its columns, as `skimage.measure.regionprops_table` has them.

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
