"""Many images: time per image and peak memory must not grow with their number.

``python -m benchmarks.scale 1000 10000 100000`` takes minutes, and 100 KB of disk an image.
"""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.data import temporary_folder
from benchmarks.timing import table
from cellprep import encode_rle

SIDE = 64
CELLS = 12


def write_csv(path: Path, images: int) -> None:
    """Write annotations of many images of 64 x 64 pixels, a dozen cells each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    discs = []
    for _ in range(500):
        cy, cx, r = rng.integers(4, 60), rng.integers(4, 60), rng.integers(3, 9)
        discs.append((y - cy) ** 2 + (x - cx) ** 2 <= r**2)
    texts = encode_rle(np.stack(discs))
    with path.open("w") as file:
        file.write("id,annotation,width,height,cell_type\n")
        for k in range(images):
            for place in rng.integers(0, len(texts), CELLS):
                file.write(f"{k:06},{texts[place]},{SIDE},{SIDE},disc\n")


def measure(count: int, folder: Path) -> list[str]:
    """Build a store of this number of images, and run again with nothing to do."""
    csv, store = folder / "train.csv", folder / f"{count}.zarr"
    write_csv(csv, count)
    fresh, parent, worker = _run(csv, store)
    again, _, _ = _run(csv, store)
    shutil.rmtree(store)
    return [f"{count:,}", f"{1000 * fresh / count:.2f}", f"{parent:.0f}", f"{worker:.0f}", f"{again:.1f}"]


def _run(csv: Path, store: Path) -> tuple[float, float, float]:
    """Return wall seconds and the peak memory, in MB, of the parent and of its largest worker."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "cellprep", "build-targets", csv, "--out", store, "--jobs", "2", "--quiet"]
    )
    peaks = {"parent": 0.0, "worker": 0.0}
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    if process.wait():
        raise SystemExit("the build failed")
    watcher.join()
    return time.perf_counter() - start, peaks["parent"], peaks["worker"]


def watch(process: "subprocess.Popen[bytes]", peaks: dict[str, float]) -> None:
    """Record the peak memory, in MB, of a process and of its largest child until it ends."""
    while process.poll() is None:
        children = [
            int(word)
            for path in Path(f"/proc/{process.pid}/task").glob("*/children")
            for word in path.read_text().split()
        ]
        for name, pids in (("parent", [process.pid]), ("worker", children)):
            peaks[name] = max(peaks[name], *(_peak_megabytes(pid) for pid in pids), 0.0)
        time.sleep(0.2)


def _peak_megabytes(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # it has just ended
    return 0.0


if __name__ == "__main__":
    with temporary_folder() as name:
        rows = [measure(int(count), Path(name)) for count in sys.argv[1:] or ["1000", "10000"]]
    header = ["images", "wall time, ms per image", "parent's peak, MB", "workers' peak, MB", "repeated run, s"]
    sys.stdout.write(table("Scale, images of 64 x 64 with 12 cells, 2 jobs", header, rows) + "\n")
