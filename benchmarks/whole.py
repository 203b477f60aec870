"""The whole command from start to end: processor time per image, wall time, and speed-up by a second process."""

import csv as csv_module
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.data import images_of
from benchmarks.timing import processor_seconds, table

REPEATS = 3
COPIES = 4  # of the images, so that start-up is a small part


def run(*arguments: object) -> tuple[float, float]:
    """Run the command; return its wall seconds, and the processor seconds of all its processes."""
    before, start = processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "cellprep", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, processor_seconds() - before


def measure(csv: Path, folder: Path, floor: float) -> tuple[str, float]:
    """Measure new builds with one and two jobs, and one with nothing to do; return a table, and ms per image.

    `floor` is the time of computing, encoding and writing one raw file, in ms per image. The time of a build of one
    image is start-up, and is subtracted.

    Every build has its own folder, and none is removed before the end: some file systems create files slowly where
    others have just been deleted.
    """
    many = folder / f"{csv.parent.name}-{COPIES}.csv"
    _repeat(csv, many, COPIES)
    count = COPIES * len(images_of(csv))
    one = folder / f"{csv.parent.name}-one.csv"
    _repeat(csv, one, copies=1, most=1)
    once = [
        run("build-targets", one, "--out", folder / f"one-{k}.zarr", "--jobs", 1, "--quiet")[1] for k in range(REPEATS)
    ]
    start_up = median(once)
    rows, walls, costs = [], {}, {}
    for jobs in (1, 2):
        stores = [folder / f"{csv.parent.name}-{jobs}-{k}.zarr" for k in range(REPEATS)]
        figures = [run("build-targets", many, "--out", store, "--jobs", jobs, "--quiet") for store in stores]
        walls[jobs] = min(wall for wall, _ in figures)
        processes = 1 if jobs == 1 else 1 + jobs  # each pays for an interpreter's start
        spent = [1000 * (cost - processes * start_up) / count for _, cost in figures]
        costs[jobs] = median(spent)
        rows.append([f"{jobs} job{'s' * (jobs > 1)}", _figures(spent), _figures([wall for wall, _ in figures])])
    again = [run("build-targets", many, "--out", stores[0], "--jobs", 2, "--quiet") for _ in range(REPEATS)]
    spent = [1000 * (cost - 3 * start_up) / count for _, cost in again]
    rows.append(["repeated without changes", _figures(spent), _figures([wall for wall, _ in again])])
    rows.append(["speed-up with the second job", "", f"{walls[1] / walls[2]:.2f} (fastest runs)"])
    rows.append(["ratio to the floor, 1 job", f"{costs[1] / floor:.2f}", ""])
    rows.append(["start-up alone", "", f"{start_up:.2f}"])
    header = ["command", "processor time without start-up, ms per image (each run)", "wall time, s (each run)"]
    return table(f"Whole command, {count} images of {csv.parent.name}/{csv.name}", header, rows), costs[1]


def _figures(values: list[float]) -> str:
    return f"{median(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})"


def _repeat(csv: Path, target: Path, copies: int, most: int | None = None) -> None:
    """Write the rows of a source's first images, or of all, several times with new ids."""
    csv_module.field_size_limit(2**31 - 1)
    with csv.open(newline="") as source, target.open("w", newline="") as file:
        reader, writer = csv_module.reader(source), csv_module.writer(file)
        header = next(reader)
        writer.writerow(header)
        place = header.index("id")
        rows = list(reader)
        kept = {*[*dict.fromkeys(row[place] for row in rows)][:most]}
        rows = [row for row in rows if row[place] in kept]
        for copy in range(copies):
            writer.writerows([*row[:place], f"{copy}-{row[place]}", *row[place + 1 :]] for row in rows)
