"""Wrong pixels: their number, and what is wrong with the first."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.text.wording import count


class Wrong(NamedTuple):
    """Wrong pixels: their number, the position of the first one, its value, and the right value."""

    number: int
    y: int
    x: int
    problem: str

    def described(self) -> str:
        """Return a description."""
        return f"{count(self.number, 'pixel')} wrong, the first at y {self.y}, x {self.x}: {self.problem}"

    def moved(self, window: tuple[slice, slice]) -> "Wrong":
        """Return the pixels of a window with their positions in the image."""
        rows, columns = window
        return self._replace(y=self.y + rows.start, x=self.x + columns.start)

    def joined(self, other: "Wrong | None") -> "Wrong":
        """Return the pixels of both."""
        if other is None:
            return self
        first = min(self, other, key=lambda wrong: (wrong.y, wrong.x))
        return first._replace(number=self.number + other.number)


def unequal(found: NDArray[Any], expected: NDArray[Any], tolerance: float) -> Wrong | None:
    """Return the pixels that differ from what is expected, (H, W, ...) both, by more than a relative tolerance."""
    if np.array_equal(found, expected):
        return None
    with np.errstate(all="ignore"):  # wrong values may overflow
        wrong = ~(np.abs(found - expected) <= tolerance * np.maximum(1, np.abs(expected)))
    pixels = wrong if wrong.ndim == 2 else wrong.any(axis=2)
    place = np.unravel_index(pixels.argmax(), pixels.shape)
    return among(pixels, found, f"it should be {_value(expected[place])}")


def among(wrong: NDArray[np.bool_], found: NDArray[Any], rule: str) -> Wrong | None:
    """Return the pixels where `wrong`, (H, W), is True, and the value of the first one; None if there are none."""
    number = int(np.count_nonzero(wrong))
    if not number:
        return None
    y, x = map(int, np.unravel_index(wrong.argmax(), wrong.shape))
    return Wrong(number, y, x, f"{_value(found[y, x])}; {rule}")


def _value(value: Any) -> str:
    return f"({', '.join(f'{part:g}' for part in value)})" if np.ndim(value) else f"{value:g}"
