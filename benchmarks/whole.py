"""The whole command, start to end: processor time an image, wall time, and speed-up by a second process."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.data import images_of
from benchmarks.timing import median, processor_seconds, table

REPEATS = 3


def run(*arguments: object) -> tuple[float, float]:
    """Run the command; return its wall and processor seconds, all its processes together."""
    before, start = processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "cellprep", *map(str, arguments)], check=True)
    return time.perf_counter() - start, processor_seconds() - before


def measure(csv: Path, folder: Path) -> tuple[str, float]:
    """Measure fresh builds at one and two jobs and one with nothing to do; return a table and ms an image."""
    count = len(images_of(csv))
    start_up = median(run("--version")[1] for _ in range(REPEATS))
    rows, walls, costs = [], {}, {}
    for jobs in (1, 2):
        figures = []
        for _ in range(REPEATS):
            shutil.rmtree(folder / "store.zarr", ignore_errors=True)
            figures.append(run("build-targets", csv, "--out", folder / "store.zarr", "--jobs", jobs, "--quiet"))
        walls[jobs] = median(wall for wall, _ in figures)
        # Each worker starts an interpreter of its own: start-up is paid once per process.
        processes = 1 if jobs == 1 else 1 + jobs
        costs[jobs] = 1000 * (median(cost for _, cost in figures) - processes * start_up) / count
        spread = ", ".join(f"{wall:.1f}" for wall, _ in figures)
        rows.append([f"{jobs} job{'s' * (jobs > 1)}", f"{costs[jobs]:.1f}", f"{walls[jobs]:.1f} s ({spread})"])
    again = run("build-targets", csv, "--out", folder / "store.zarr", "--jobs", 2, "--quiet")
    rows.append(["again, nothing to do", f"{1000 * again[1] / count:.1f}", f"{again[0]:.1f} s"])
    rows.append(["speed-up by the second job", "", f"{walls[1] / walls[2]:.2f}"])
    header = ["command", "ms of processor time an image, start-up left out", "wall time (each run)"]
    return table(f"Whole command, {count} images of {csv.parent.name}/{csv.name}", header, rows), costs[1]
