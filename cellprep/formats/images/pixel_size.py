"""Pixel sizes in files, restricted to units of length that microscopy tools write."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

#: (y, x): sides of a pixel, in micrometres.
Sides = tuple[float, float]

#: Relative difference up to which sizes are equal, as files round them.
SAME = 0.01

_LONGEST = 1000.0  # micrometres: a pixel of a microscope is smaller than a millimetre

# Micrometres per unit, by the names that ImageJ and its users use. Longer units come from scanners and photographs.
_SHORT = {
    **dict.fromkeys(("µm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-3),
    **dict.fromkeys(("Å", "angstrom", "angstroms"), 1e-4),
    "pm": 1e-6,
}
_OME = {**_SHORT, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6}


def side_of(sides: Sides | None) -> float | None:
    """Return the side of a square pixel; None if it is unknown or the pixel is not square.

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
    """Return the side of a pixel multiplied by a factor; None if it is unknown.

    Examples
    --------
    >>> enlarged(0.1, 3), enlarged(2, 1), enlarged(None, 2)
    (0.3, 2, None)
    """
    return side if side is None or by == 1 else float(f"{side * by:.12g}")


def differ(one: float, other: float) -> bool:
    """Return whether two sizes differ by more than rounding, 1 %."""
    return abs(one - other) > SAME * min(one, other)


def sides_in_micrometres(y: Any, x: Any) -> Sides | None:
    """Return sides given in micrometres; None if one is not a valid length."""
    return _both(None if (side := _length(of, 1.0)) is None else _rounded(side) for of in (y, x))


def sides_of_ome(attributes: Mapping[str, str]) -> Sides | None:
    """Return the sides in the OME-XML element ``Pixels``, in micrometres unless it names a unit.

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
    """Return the sides of each image in OME-XML."""
    return [sides_of_ome(element.attrib) for element in root.iter() if element.tag.endswith("Pixels")]


def sides_of_imagej(metadata: Mapping[str, Any], resolution: Iterable[Any]) -> Sides | None:
    r"""Return the sides written by ImageJ, which are pixels per unit.

    Parameters
    ----------
    metadata
        Parsed description: ``unit``, and ``yunit`` if it differs.
    resolution
        Tags YResolution and XResolution, each as numerator and denominator; None if absent.

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
    """Normalise the name of a unit: ImageJ escapes the micro sign, of which Unicode has two."""
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
    """Round a size to six digits, the precision of TIFF's rational numbers."""
    return float(f"{side:.6g}") if math.isfinite(side) else 0.0
