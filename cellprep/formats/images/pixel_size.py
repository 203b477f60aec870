"""The size of a pixel, as files tell it: only in units of length that tools of microscopy write."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

#: (y, x): the sides of a pixel, in micrometres.
Sides = tuple[float, float]

#: By what part two sizes may differ and still be one: files round.
SAME = 0.01

_LONGEST = 1000.0  # micrometres: a pixel of a microscope is smaller than a millimetre

# Of a unit by the names that ImageJ and its users give it. Longer ones come from scanners and photographs.
_SHORT = {
    **dict.fromkeys(("µm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-3),
    **dict.fromkeys(("Å", "angstrom", "angstroms"), 1e-4),
    "pm": 1e-6,
}
_OME = {**_SHORT, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6}


def side_of(sides: Sides | None) -> float | None:
    """Return the side of a square pixel; None if it is unknown, or the pixel is not square.

    Examples
    --------
    >>> side_of((0.5, 0.5)), side_of((0.5, 0.502)), side_of((0.5, 1.0)), side_of(None)
    (0.5, 0.501, None, None)
    """
    if sides is None or differ(*sides):
        return None
    y, x = sides
    return x if x == y else _rounded((x + y) / 2)


def enlarged(side: float | None, by: int) -> float | None:
    """Return the side of a pixel that is so many times as long; None if it is unknown.

    Examples
    --------
    >>> enlarged(0.1, 3), enlarged(2, 1), enlarged(None, 2)
    (0.3, 2, None)
    """
    return side if side is None or by == 1 else float(f"{side * by:.12g}")


def differ(one: float, other: float) -> bool:
    """Return whether two sizes differ by more than rounding explains, 1 %."""
    return abs(one - other) > SAME * min(one, other)


def sides_in_micrometres(y: Any, x: Any) -> Sides | None:
    """Return sides that a file tells in micrometres; None if one is no length of a pixel."""
    return _both(None if (side := _length(of, 1.0)) is None else _rounded(side) for of in (y, x))


def sides_of_ome(attributes: Mapping[str, str]) -> Sides | None:
    """Return the sides that the element ``Pixels`` of OME-XML has: micrometres unless it names a unit.

    Examples
    --------
    >>> sides_of_ome({"PhysicalSizeX": "325", "PhysicalSizeXUnit": "nm", "PhysicalSizeY": "0.325"})
    (0.325, 0.325)
    """
    return _both(
        _length(attributes.get(f"PhysicalSize{axis}"), _OME.get(_unit(attributes.get(f"PhysicalSize{axis}Unit", "µm"))))
        for axis in "YX"
    )


def sides_of_ome_images(root: ElementTree.Element) -> list[Sides | None]:
    """Return the sides of each image of OME-XML."""
    return [sides_of_ome(element.attrib) for element in root.iter() if element.tag.endswith("Pixels")]


def sides_of_imagej(metadata: Mapping[str, Any], resolution: Iterable[Any]) -> Sides | None:
    r"""Return the sides that ImageJ has written, as pixels a unit.

    Parameters
    ----------
    metadata
        What the description says: ``unit``, and ``yunit`` where it differs.
    resolution
        The tags YResolution and XResolution, each as numerator and denominator; None if there is no such tag.

    Examples
    --------
    >>> sides_of_imagej({"unit": r"\u00B5m"}, [(4, 1), (4, 1)]), sides_of_imagej({"unit": "inch"}, [(72, 1), (72, 1)])
    ((0.25, 0.25), None)
    """
    unit = metadata.get("unit")
    units = (metadata.get("yunit", unit), unit)
    return _both(
        _length(_step(tag), _SHORT.get(_unit(name) if isinstance(name, str) else ""))
        for name, tag in zip(units, resolution, strict=True)
    )


def _step(tag: Any) -> float | None:
    try:
        numerator, denominator = tag
        return _rounded(denominator / numerator)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _unit(name: str) -> str:
    """Return a unit's name as the tables have it: ImageJ escapes the sign of micro, of which Unicode has two."""
    name = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)), name).strip()
    name = name.replace("\u03bc", "µ").replace("\u212b", "Å")
    return name if name in _OME else name.lower()


def _length(number: Any, unit: float | None) -> float | None:
    try:
        side = float(number) * (unit or 0.0)
    except (TypeError, ValueError):
        return None
    side = side if unit == 1.0 else _rounded(side)
    return side if 0 < side < _LONGEST else None


def _both(lengths: Iterable[float | None]) -> Sides | None:
    y, x = lengths
    return None if y is None or x is None else (y, x)


def _rounded(side: float) -> float:
    """Return a size with six digits, which is what the rational numbers of TIFF bear out."""
    return float(f"{side:.6g}") if math.isfinite(side) else 0.0
