"""Medians with their spread, in processor time, so that other work on the machine disturbs them less."""

import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds per item: median, quartiles and mean over the items."""

    median: float
    low: float
    high: float
    mean: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> "Timing":
        """Summarise one figure per item."""
        low, median, high = np.percentile(milliseconds, [25, 50, 75])
        return cls(float(median), float(low), float(high), float(np.mean(milliseconds)))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def time_each(function: Callable[[Any], object], items: Iterable[Any], repeats: int = 3) -> Timing:
    """Time a function on every item: the fastest of some repeats is used, and the median of all items."""
    figures = []
    for item in items:
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            function(item)
            best = min(best, time.process_time() - start)
        figures.append(1000 * best)
    return Timing.of(figures)


def noise() -> Timing:
    """Time the same small piece of work a hundred times, to show the noise of this machine."""
    array = np.random.default_rng(0).random((512, 512), dtype=np.float32)
    return time_each(lambda _: np.sort(array, axis=1), range(100), repeats=1)


def processor_seconds() -> float:
    """Return the processor time of the children that have ended, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(title: str, header: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    lines = [f"\n### {title}\n", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
