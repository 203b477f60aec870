"""Charts, laid out for a page that draws them as SVG, in colours of the style sheet and with values as tooltips."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

_WIDTH, _HEIGHT = 640, 274
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, _WIDTH - 12, 26, _HEIGHT - 44
_BINS = 30
_LONG = 10  # letters of a name below a bar; longer ones go on in a second line


class Mark(NamedTuple):
    """A bar or a dot, and its tooltip; a dot has no size."""

    about: str
    x: str
    y: str
    width: str = ""
    height: str = ""


class Shape(NamedTuple):
    """The values of one kind: ``steps`` of a histogram, ``bars``, or a ``line``."""

    kind: str
    name: str
    points: str
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, its lengths in pixels of the drawing; without shapes there is nothing to draw."""

    title: str
    axis: str
    unit: str = ""
    ticks_x: Sequence[tuple[str, str]] = ()
    ticks_y: Sequence[tuple[str, str]] = ()
    shapes: Sequence[Shape] = ()

    width: ClassVar[int] = _WIDTH
    height: ClassVar[int] = _HEIGHT
    left: ClassVar[int] = _LEFT
    right: ClassVar[int] = _RIGHT
    top: ClassVar[int] = _TOP
    bottom: ClassVar[int] = _BOTTOM

    @property
    def named(self) -> bool:
        """Whether a legend says anything."""
        names = [shape.name for shape in self.shapes]
        return len(names) > 1 or any(names)


def histogram(title: str, axis: str, values: Mapping[str, Sequence[float]], *, logarithmic: bool = False) -> Chart:
    """Draw how often values occur, for each of some kinds, in bins that all kinds share.

    Parameters
    ----------
    title
        Title of the chart.
    axis
        Name of the values, and their unit.
    values
        By kind.
    logarithmic
        Whether bins have equal ratios instead of equal widths; values of 0 or less are then left out, as NaN always is.
    """
    kinds = {
        name: np.array([v for v in found if math.isfinite(v) and (v > 0 or not logarithmic)], float)
        for name, found in values.items()
    }
    kinds = {name: found for name, found in kinds.items() if len(found)}
    if not kinds:
        return Chart(title, axis)
    low, high = min(found.min() for found in kinds.values()), max(found.max() for found in kinds.values())
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, _BINS + 1) if logarithmic else np.linspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high
    counts = {name: np.histogram(found, edges)[0] for name, found in kinds.items()}
    scale = _Scale(low, high, 0, float(max(count.max() for count in counts.values())), logarithmic)
    shapes = [_steps(name, edges.tolist(), found.tolist(), scale) for name, found in counts.items()]
    return Chart(title, axis, "number", scale.ticks_x(), scale.ticks_y(), shapes)


def bars(title: str, axis: str, values: Sequence[float], names: Sequence[str]) -> Chart:
    """Draw a bar for each of some values between 0 and 1, as shares in percent."""
    scale = _Scale(0, len(values), 0, max([*values, 0.0]) * 100 or 1.0)
    marks = [
        scale.bar(place + 0.1, place + 0.9, 100 * value, f"{name}: {100 * value:.2f} %")
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]
    shown = [name.replace("-", "-\n", 1) if len(name) > _LONG else name for name in names]
    ticks = [(f"{scale.x(place + 0.5):.1f}", name) for place, name in enumerate(shown)]
    return Chart(title, axis, "%", ticks, scale.ticks_y(), [Shape("bars", "", "", marks)])


def lines(title: str, axis: str, x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Chart:
    """Draw one line or more over the same places, with a dot at each."""
    known = [value for values in series.values() for value in values if math.isfinite(value)]
    scale = _Scale(min(x), max(x) if max(x) > min(x) else min(x) + 1, min([*known, 0.0]), max([*known, 1e-9]))
    shapes = []
    for name, values in series.items():
        points = [(a, b) for a, b in zip(x, values, strict=True) if math.isfinite(b)]
        dots = [Mark(f"{name}, {a:g}: {b:.4g}", f"{scale.x(a):.1f}", f"{scale.y(b):.1f}") for a, b in points]
        shapes.append(Shape("line", name, " ".join(f"{dot.x},{dot.y}" for dot in dots), dots))
    return Chart(title, axis, "", scale.ticks_x(), scale.ticks_y(), shapes)


class _Scale:
    """From values to places in the drawing."""

    def __init__(self, low: float, high: float, bottom: float, top: float, logarithmic: bool = False) -> None:
        self.low, self.high, self.bottom, self.top = low, high, bottom, top
        self.logarithmic = logarithmic

    def x(self, value: float) -> float:
        inner = _RIGHT - _LEFT
        if self.logarithmic:
            return _LEFT + inner * math.log(value / self.low) / math.log(self.high / self.low)
        return _LEFT + inner * (value - self.low) / (self.high - self.low)

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - self.bottom) / (self.top - self.bottom or 1)

    def bar(self, left: float, right: float, value: float, about: str) -> Mark:
        x, y = self.x(left), self.y(value)
        return Mark(about, f"{x:.1f}", f"{y:.1f}", f"{self.x(right) - x:.1f}", f"{self.y(0) - y:.1f}")

    def ticks_x(self) -> list[tuple[str, str]]:
        values = self._powers() if self.logarithmic else _round_numbers(self.low, self.high)
        return [(f"{self.x(value):.1f}", f"{value:,.6g}") for value in values]

    def ticks_y(self) -> list[tuple[str, str]]:
        return [(f"{self.y(value):.1f}", f"{value:,.6g}") for value in _round_numbers(self.bottom, self.top)]

    def _powers(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1,) if len(powers) > 4 else (1, 2, 5)
        found = [factor * 10.0**power for power in powers for factor in factors]
        inside = [value for value in found if self.low <= value <= self.high]
        return inside if len(inside) > 1 else _round_numbers(self.low, self.high)


def _round_numbers(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    rough = (high - low) / 5 or 1
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _steps(name: str, edges: Sequence[float], counts: Sequence[int], scale: _Scale) -> Shape:
    """Return the outline of a histogram, and for each bin a bar that nobody sees, with its tooltip."""
    points, tips = [f"{scale.x(edges[0]):.1f},{scale.y(0):.1f}"], []
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        points += [f"{scale.x(edge):.1f},{scale.y(count):.1f}" for edge in (left, right)]
        if count:
            about = f"{name + ', ' if name else ''}{left:.3g} to {right:.3g}: {count:,}"
            tips.append(scale.bar(left, right, count, about))
    points.append(f"{scale.x(edges[-1]):.1f},{scale.y(0):.1f}")
    return Shape("steps", name, " ".join(points), tips)
