"""Converting a COCO file of LIVECell's size: processor time, and peak memory, which must not grow with the images.

``python -m benchmarks.converting 400 1600 3253`` converts these numbers of images with 305 cells to several formats.
It takes half an hour of processor time, and 3 GB of disk in ``TMPDIR``. ``--to FORMAT`` chooses other formats.
"""

import argparse
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.coco import CELLS, write_coco
from benchmarks.data import temporary_folder
from benchmarks.scale import watch
from benchmarks.timing import processor_seconds, table

FORMATS = ["label-tiff", "geojson", "yolo", "kaggle-csv"]


def measure(coco: Path, images: int, to: str, folder: Path) -> list[str]:
    """Convert a file, and return its costs."""
    out = folder / "converted"
    before, peaks = processor_seconds(), {"parent": 0.0, "worker": 0.0}
    command = [sys.executable, "-m", "cellprep", "convert", coco, "--to", to, "--out", out, "--jobs", "2", "--quiet"]
    process = subprocess.Popen(command)
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    if process.wait():
        raise SystemExit(f"the conversion to {to} failed")
    watcher.join()
    seconds = processor_seconds() - before
    size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.rglob("*")))
    shutil.rmtree(out) if out.is_dir() else out.unlink()
    times = [f"{seconds / 60:.1f}", f"{1000 * seconds / images:.0f}"]
    return [f"{images:,}", to, *times, f"{peaks['parent']:.0f}", f"{peaks['worker']:.0f}", f"{size / 2**20:,.0f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=int, default=[400], help="numbers of images")
    parser.add_argument("--to", nargs="*", default=FORMATS, help="formats")
    options = parser.parse_args()
    with temporary_folder() as name:
        rows = []
        for images in options.images:
            coco = Path(name, "coco.json")
            write_coco(coco, images * CELLS)
            rows += [measure(coco, images, to, Path(name)) for to in options.to]
    header = ["images", "to", "processor, min", "ms per image", "parent's peak, MB", "workers' peak, MB", "written, MB"]
    sys.stdout.write(table(f"Converting COCO JSON, {CELLS} cells per image, 2 jobs", header, rows) + "\n")
