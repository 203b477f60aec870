"""Layout of charts for a page that draws them as SVG, with colours from the style sheet and values as tooltips."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, _WIDTH - 24, 26, _HEIGHT - 44
_BINS = 30
_LETTER = 7.5  # maximum width of a letter in the font size of the style sheet
_APART = 10  # between the texts of two ticks
_LYING = 24  # height of a horizontal bar, including the gap to the next one
_LONGEST = 7  # letters in the number of a tick

Ticks = list[tuple[str, str]]


class Mark(NamedTuple):
    """A bar or a dot with its tooltip; a dot has no size."""

    about: str
    x: str
    y: str
    width: str = ""
    height: str = ""


class Shape(NamedTuple):
    """The values of a series: ``steps`` of a histogram, ``bars``, or a ``line``."""

    kind: str
    name: str
    points: str
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, with lengths in pixels of the drawing; without shapes, there is nothing to draw.

    Grid lines belong to the ticks of y, or of x if bars are horizontal.
    """

    title: str
    axis: str
    unit: str = ""
    ticks_x: Sequence[tuple[str, str]] = ()
    ticks_y: Sequence[tuple[str, str]] = ()
    shapes: Sequence[Shape] = ()
    left: float = _LEFT
    bottom: int = _BOTTOM
    lying: bool = False

    width: ClassVar[int] = _WIDTH
    right: ClassVar[int] = _RIGHT
    top: ClassVar[int] = _TOP

    @property
    def height(self) -> int:
        """Total height of the drawing."""
        return self.bottom + _HEIGHT - _BOTTOM

    @property
    def named(self) -> bool:
        """True if the chart needs a legend."""
        names = [shape.name for shape in self.shapes]
        return len(names) > 1 or any(names)


def histogram(title: str, axis: str, values: Mapping[str, Sequence[float]], *, logarithmic: bool = False) -> Chart:
    """Draw histograms of several series with common bins.

    Parameters
    ----------
    title
        Title of the chart.
    axis
        Name of the values, and their unit.
    values
        The values of each series, by name.
    logarithmic
        Whether bins have equal ratios instead of equal widths. Values of 0 or less are then left out; NaN always is.
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
    whole = all((found == np.round(found)).all() for found in kinds.values())
    shapes = [_steps(name, edges.tolist(), found.tolist(), scale) for name, found in counts.items()]
    return Chart(title, axis, "number", scale.ticks_x(whole=whole), scale.ticks_y(whole=True), shapes)


def bars(title: str, axis: str, values: Sequence[float], names: Sequence[str]) -> Chart:
    """Draw values between 0 and 1 as bars in percent; the bars are horizontal if their names are long."""
    ticks = [(f"{_LEFT + (_RIGHT - _LEFT) * (place + 0.5) / len(names):.1f}", name) for place, name in enumerate(names)]
    if any(len(name) > 3 for name in names) and not _are_apart(ticks):
        return _lying_bars(title, axis, values, names)
    scale = _Scale(0, len(values), 0, max([*values, 0.0]) * 100 or 1.0)
    marks = [
        scale.bar(place + 0.1, place + 0.9, 100 * value, f"{name}: {100 * value:.2f} %")
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]
    fitting = _first_apart(ticks[::every] for every in range(1, len(ticks) + 1))
    return Chart(title, axis, "%", fitting, scale.ticks_y(), [Shape("bars", "", "", marks)])


def _lying_bars(title: str, axis: str, values: Sequence[float], names: Sequence[str]) -> Chart:
    left = 12 + _LETTER * max(map(len, names))
    scale = _Scale(0, max([*values, 0.0]) * 100 or 1.0, 0, 1, left=left)
    tops = [_TOP + _LYING * place for place in range(len(names))]
    marks = [
        Mark(f"{name}: {100 * value:.2f} %", f"{left:.1f}", str(top + 4), f"{scale.x(100 * value) - left:.1f}", "16")
        for value, name, top in zip(values, names, tops, strict=True)
    ]
    ticks_y = [(str(top + _LYING // 2), name) for top, name in zip(tops, names, strict=True)]
    bottom = _TOP + _LYING * len(names) + 4
    shape = Shape("bars", "", "", marks)
    return Chart(title, f"{axis}, %", "", scale.ticks_x(), ticks_y, [shape], left, bottom, lying=True)


def lines(title: str, axis: str, x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Chart:
    """Draw one or more lines over the same x, with a dot at each point."""
    known = [value for values in series.values() for value in values if math.isfinite(value)]
    scale = _Scale(min(x), max(x) if max(x) > min(x) else min(x) + 1, min([*known, 0.0]), max([*known, 1e-9]))
    shapes = []
    for name, values in series.items():
        points = [(a, b) for a, b in zip(x, values, strict=True) if math.isfinite(b)]
        dots = [Mark(f"{name}, {a:g}: {b:.4g}", f"{scale.x(a):.1f}", f"{scale.y(b):.1f}") for a, b in points]
        shapes.append(Shape("line", name, " ".join(f"{dot.x},{dot.y}" for dot in dots), dots))
    return Chart(title, axis, "", scale.ticks_x(whole=all(place == int(place) for place in x)), scale.ticks_y(), shapes)


class _Scale:
    """Conversion of values to positions in the drawing."""

    def __init__(
        self, low: float, high: float, bottom: float, top: float, logarithmic: bool = False, left: float = _LEFT
    ) -> None:
        self.low, self.high, self.bottom, self.top = low, high, bottom, top
        self.logarithmic, self.left = logarithmic, left

    def x(self, value: float) -> float:
        inner = _RIGHT - self.left
        if self.logarithmic:
            return self.left + inner * math.log(value / self.low) / math.log(self.high / self.low)
        return self.left + inner * (value - self.low) / (self.high - self.low)

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - self.bottom) / (self.top - self.bottom or 1)

    def bar(self, left: float, right: float, value: float, about: str) -> Mark:
        x, y = self.x(left), self.y(value)
        return Mark(about, f"{x:.1f}", f"{y:.1f}", f"{self.x(right) - x:.1f}", f"{self.y(0) - y:.1f}")

    def ticks_x(self, *, whole: bool = False) -> Ticks:
        choices = [_round_numbers(self.low, self.high, most, whole=whole) for most in (5, 4, 3, 2, 1)]
        if self.logarithmic:
            choices = [powers for powers in self._powers() if len(powers) > 1] + choices
        return _first_apart([(f"{self.x(value):.1f}", _number(value)) for value in values] for values in choices)

    def ticks_y(self, *, whole: bool = False) -> Ticks:
        values = _round_numbers(self.bottom, self.top, whole=whole)
        return [(f"{self.y(value):.1f}", _number(value)) for value in values]

    def _powers(self) -> list[list[float]]:
        """Return choices of round numbers for a logarithmic axis, the longest first."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        choices = [[factor * 10.0**power for power in powers for factor in factors] for factors in ((1, 2, 5), (1, 3))]
        choices += [[10.0**power for power in powers[::every]] for every in range(1, len(powers) + 1)]
        return [[value for value in found if self.low <= value <= self.high] for found in choices]


def _round_numbers(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """Return about `most` round numbers in an interval."""
    rough = (high - low) / most or 1
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    """Return a number as text that is short enough for an axis."""
    text = f"{value:,.6g}"
    if len(text) <= _LONGEST and not 0 < abs(value) < 1e-3:
        return text
    factor, _, power = f"{value:.2e}".partition("e")
    return f"{float(factor):g}e{int(power)}"


def _first_apart(choices: Iterable[Ticks]) -> Ticks:
    """Return the first choice of ticks whose texts do not overlap, or the last choice."""
    ticks: Ticks = []
    for ticks in choices:
        if _are_apart(ticks):
            break
    return ticks


def _are_apart(ticks: Ticks) -> bool:
    """Return whether the texts of ticks below an axis do not overlap."""
    ends = [(float(x) - _LETTER * len(text) / 2, float(x) + _LETTER * len(text) / 2) for x, text in ticks]
    return all(end + _APART <= start for (_, end), (start, _) in pairwise(ends))


def _steps(name: str, edges: Sequence[float], counts: Sequence[int], scale: _Scale) -> Shape:
    """Return the outline of a histogram, and for each bin an invisible bar with its tooltip."""
    points, tips = [f"{scale.x(edges[0]):.1f},{scale.y(0):.1f}"], []
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        points += [f"{scale.x(edge):.1f},{scale.y(count):.1f}" for edge in (left, right)]
        if count:
            about = f"{name + ', ' if name else ''}{left:.3g} to {right:.3g}: {count:,}"
            tips.append(scale.bar(left, right, count, about))
    points.append(f"{scale.x(edges[-1]):.1f},{scale.y(0):.1f}")
    return Shape("steps", name, " ".join(points), tips)
