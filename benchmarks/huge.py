"""One huge annotated image: time and peak memory of each command that works in parts, and of reading windows."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.data import temporary_folder
from cellprep import open_store

STEP = 30  # pixels from cell to cell


def write_source(folder: Path, side: int) -> Path:
    """Write a square image full of ellipses, and its annotations: the same for the same side."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-12:13, -12:13]
    image = rng.integers(20, 60, (side, side), dtype=np.uint8)
    csv = folder / "huge.csv"
    with csv.open("w") as file:
        file.write("id,annotation,width,height\n")
        for place in np.ndindex(side // STEP, side // STEP):
            tall, wide = rng.uniform(6, 12, 2)
            cell = (y / tall) ** 2 + (x / wide) ** 2 <= 1
            top, left = STEP * np.array(place) + rng.integers(0, 6, 2)
            image[top : top + 25, left : left + 25] += 60 * cell.astype(np.uint8)
            rows = np.flatnonzero(cell.any(axis=1))
            starts = side * (top + rows) + left + cell.argmax(axis=1)[rows] + 1
            lengths = cell.sum(axis=1)[rows]
            runs = " ".join(f"{start} {length}" for start, length in zip(starts, lengths, strict=True))
            file.write(f"huge,{runs},{side},{side}\n")
    tifffile.imwrite(folder / "huge.tif", image)
    return csv


def measure(*arguments: object) -> tuple[float, float]:
    """Run the command; return its wall seconds, and the peak memory of all its processes together, in GB."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-m", "cellprep", *map(str, arguments)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, _tree(process.pid))))
        time.sleep(0.1)
    assert process.returncode == 0
    return time.perf_counter() - start, peak / 1e6


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _memory(pid: int) -> int:
    """Return the proportional memory of a process (PSS), in KB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def main(sides: list[str]) -> None:
    """Print the costs of images with these sides."""
    for side in map(int, sides):
        with temporary_folder() as name:
            folder = Path(name)
            csv, store = write_source(folder, side), folder / "huge.zarr"
            commands = (
                ("build-targets", csv, "--images", folder, "--out", store),
                ("verify", store),
                ("evaluate", store, csv),
                ("measure", store, "--out", folder / "cells.csv"),
                ("preview", store, "--out", folder / "preview.png"),
                ("report", csv, "--images", folder, "--out", folder / "report.html"),
            )
            for arguments in commands:
                seconds, peak = measure(*arguments, "--quiet")
                sys.stdout.write(f"{side} x {side}, {arguments[0]}: {seconds:.1f} s, {peak:.2f} GB\n")
            image = open_store(store)["huge"]
            windows = np.random.default_rng(1).integers(0, side - 256, (100, 2)).tolist()
            start = time.perf_counter()
            for top, left in windows:
                image.read("energy", (slice(top, top + 256), slice(left, left + 256)))
            milliseconds = 1000 * (time.perf_counter() - start) / len(windows)
            sys.stdout.write(f"{side} x {side}, a window of 256 x 256 of energy: {milliseconds:.2f} ms\n")


if __name__ == "__main__":
    main(sys.argv[1:] or ["8000"])
