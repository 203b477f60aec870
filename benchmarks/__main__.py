"""All comparisons in one run: ``python -m benchmarks``."""

import sys
from pathlib import Path

from benchmarks import loading, reading, stages, whole
from benchmarks.data import sources, temporary_folder
from benchmarks.timing import Timing, noise

CHART = Path(__file__).parent.parent / "docs" / "benchmark.webp"


def main() -> None:
    """Print the tables, and draw the chart of the first source."""
    say = sys.stdout.write
    say(f"Noise: the same work takes {noise()} ms: median (quartiles)\n")
    with temporary_folder() as name:
        folder = Path(name)
        for number, csv in enumerate(sources(folder).values()):
            text, figures = stages.measure(csv, folder)
            say(text + "\n")
            text, command = whole.measure(csv, folder, figures[stages.FLOOR].mean)
            say(text + "\n")
            if number == 0:
                draw(figures, command, f"{csv.parent.name}/{csv.name}")
        say(reading.measure(folder / "generated" / "train.csv", folder) + "\n")
        say(loading.measure(folder) + "\n")
    say(f"\nNoise, again: {noise()} ms\n")


def draw(figures: dict[str, Timing], command: float, source: str) -> None:
    """Draw the costs of one image as bars."""
    from matplotlib.figure import Figure

    bars = {
        "the original: targets only": figures["the original's targets"].mean,
        **{name: timing.mean for name, timing in figures.items() if name.split()[0] in ("stardist", "cellpose")},
        "cellprep: whole command": command,
        "the floor: compute, compress, one raw file": figures[stages.FLOOR].mean,
        "cellprep: all targets": figures["**all targets from text**"].mean,
    }
    figure = Figure(figsize=(9, 0.6 * len(bars) + 1.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    ours = ["#0072b2" if name.startswith("cellprep") else "#999999" for name in bars]
    shown = axes.barh(list(bars), list(bars.values()), color=ours)
    axes.bar_label(shown, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, 2 * max(bars.values()))
    axes.set_xlabel("processor time per image of 520 x 704, ms (mean, logarithmic)")
    axes.set_title(f"{source}: targets of one image")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART)


main()
