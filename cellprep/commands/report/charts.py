"""Charts as SVG, in colours that the style sheet sets, with their values as tooltips."""

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from cellprep.commands.report.html import element

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 24, 44
_INNER = _WIDTH - _LEFT - _RIGHT
_TALL = _HEIGHT - _TOP - _BOTTOM
_BINS = 30


def histogram(title: str, axis: str, values: Mapping[str, Sequence[float]], *, logarithmic: bool = False) -> Element:
    """Draw how often values occur, for each of some kinds, in bins that all kinds share.

    Parameters
    ----------
    title
        What is drawn.
    axis
        What the values are, and their unit.
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
        return element("p", f"{title}: there is nothing to draw.")
    low, high = min(found.min() for found in kinds.values()), max(found.max() for found in kinds.values())
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, _BINS + 1) if logarithmic else np.linspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high
    counts = {name: np.histogram(found, edges)[0] for name, found in kinds.items()}
    scale = _Scale(low, high, 0, float(max(count.max() for count in counts.values())), logarithmic)
    shapes = [_steps(name, kind, edges.tolist(), counts[name].tolist(), scale) for kind, name in enumerate(counts)]
    return _figure(title, axis, "number", scale, shapes, list(counts))


def bars(title: str, axis: str, values: Sequence[float], names: Sequence[str]) -> Element:
    """Draw a bar for each of some values between 0 and 1, as shares in percent."""
    top = max([*values, 0.0]) * 100 or 1.0
    scale = _Scale(0, len(values), 0, top)
    shapes = []
    for place, (value, name) in enumerate(zip(values, names, strict=True)):
        y = scale.y(100 * value)
        bar = element("rect", x=f"{scale.x(place + 0.1):.1f}", y=f"{y:.1f}", width=f"{0.8 * _INNER / len(values):.1f}")
        bar.set("height", f"{_TOP + _TALL - y:.1f}")
        bar.append(element("title", f"{name}: {100 * value:.2f} %"))
        label = element("text", name, x=f"{scale.x(place + 0.5):.1f}", y=_TOP + _TALL + 16, text_anchor="middle")
        shapes.append(element("g", bar, label, class_="kind-0"))
    return _figure(title, axis, "%", scale, shapes, [], ticks_x=[])


def lines(title: str, axis: str, x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Element:
    """Draw one line or more over the same places, with a dot at each."""
    known = [value for values in series.values() for value in values if math.isfinite(value)]
    low, high = min([*known, 0.0]), max([*known, 1e-9])
    scale = _Scale(min(x), max(x) if max(x) > min(x) else min(x) + 1, low, high)
    shapes = []
    for kind, (name, values) in enumerate(series.items()):
        points = [(a, b) for a, b in zip(x, values, strict=True) if math.isfinite(b)]
        path = " ".join(f"{scale.x(a):.1f},{scale.y(b):.1f}" for a, b in points)
        dots = [
            element(
                "circle", element("title", f"{name}, {a:g}: {b:.4g}"), cx=f"{scale.x(a):.1f}", cy=f"{scale.y(b):.1f}"
            )
            for a, b in points
        ]
        for dot in dots:
            dot.set("r", "3")
        shapes.append(element("g", element("polyline", points=path), *dots, class_=f"line kind-{kind % 6}"))
    return _figure(title, axis, "", scale, shapes, list(series))


class _Scale:
    """From values to places in the drawing."""

    def __init__(self, low: float, high: float, bottom: float, top: float, logarithmic: bool = False) -> None:
        self.low, self.high, self.bottom, self.top = low, high, bottom, top
        self.logarithmic = logarithmic

    def x(self, value: float) -> float:
        if self.logarithmic:
            return _LEFT + _INNER * math.log(value / self.low) / math.log(self.high / self.low)
        return _LEFT + _INNER * (value - self.low) / (self.high - self.low)

    def y(self, value: float) -> float:
        return _TOP + _TALL * (1 - (value - self.bottom) / (self.top - self.bottom or 1))

    def ticks_x(self) -> list[float]:
        if not self.logarithmic:
            return _round_numbers(self.low, self.high)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        few = len(powers) > 4
        found = [factor * 10.0**power for power in powers for factor in ((1,) if few else (1, 2, 5))]
        return [value for value in found if self.low <= value <= self.high]


def _round_numbers(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    rough = (high - low) / 5 or 1
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _steps(name: str, kind: int, edges: Sequence[float], counts: Sequence[int], scale: _Scale) -> Element:
    """Return the outline of a histogram, and for each bin a bar that nobody sees, with its tooltip."""
    points = [f"{scale.x(edges[0]):.1f},{scale.y(0):.1f}"]
    tips = []
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        x, y = scale.x(left), scale.y(count)
        points += [f"{x:.1f},{y:.1f}", f"{scale.x(right):.1f},{y:.1f}"]
        if count:
            tip = element("title", f"{name + ', ' if name else ''}{left:.3g} to {right:.3g}: {count:,}")
            bar = element("rect", tip, x=f"{x:.1f}", y=f"{y:.1f}", width=f"{scale.x(right) - x:.1f}", class_="tip")
            bar.set("height", f"{scale.y(0) - y:.1f}")
            tips.append(bar)
    points.append(f"{scale.x(edges[-1]):.1f},{scale.y(0):.1f}")
    return element("g", element("polygon", points=" ".join(points)), *tips, class_=f"steps kind-{kind % 6}")


def _figure(
    title: str,
    axis: str,
    unit: str,
    scale: _Scale,
    shapes: list[Element],
    kinds: list[str],
    ticks_x: list[float] | None = None,
) -> Element:
    marks = []
    for value in _round_numbers(scale.bottom, scale.top):
        y = f"{scale.y(value):.1f}"
        marks.append(element("line", x1=_LEFT, x2=_LEFT + _INNER, y1=y, y2=y, class_="grid"))
        marks.append(element("text", f"{value:,.6g}", x=_LEFT - 6, y=y, dy=4, text_anchor="end"))
    for value in scale.ticks_x() if ticks_x is None else ticks_x:
        x = f"{scale.x(value):.1f}"
        marks.append(element("text", f"{value:,.6g}", x=x, y=_TOP + _TALL + 16, text_anchor="middle"))
    names = [
        element("text", axis, x=_LEFT + _INNER / 2, y=_HEIGHT - 8, text_anchor="middle"),
        element("text", unit, x=4, y=_TOP - 14) if unit else None,
    ]
    drawing = element(
        "svg", *marks, *shapes, *names, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=f"{title}: {axis}"
    )
    legend = [element("li", name or "no type", class_=f"kind-{kind % 6}") for kind, name in enumerate(kinds)]
    keys = element("ul", *legend, class_="legend") if len(kinds) > 1 or any(kinds) else None
    return element("figure", element("figcaption", title), drawing, keys)
