"""Memory and time of reading a COCO file of LIVECell's size.

``python -m benchmarks.coco 400000 1600000`` writes files with these numbers of annotations, 650 bytes each, to
``TMPDIR``.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.data import temporary_folder
from benchmarks.timing import table

CELLS = 305  # an image, as in LIVECell
POINTS = 35
SHAPE = (520, 704)

READ = """
import resource, sys, time
from cellprep import open_source
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start, before = time.perf_counter(), peak()
source = open_source(sys.argv[1])
opened = time.perf_counter()
cells = sum(len(image.rows) for image in source.images())
print(cells, before, opened - start, time.perf_counter() - opened, peak())
"""


def write_coco(path: Path, annotations: int) -> None:
    """Write discs, drawn as polygons of two decimals, in LIVECell's variant of COCO."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    discs = [
        np.stack([x + r * np.cos(angles), y + r * np.sin(angles)], axis=1).ravel().round(2).tolist()
        for x, y, r in rng.uniform((20, 20, 5), (680, 500, 20), (500, 3))
    ]
    texts = [json.dumps(disc) for disc in discs]
    images = -(-annotations // CELLS)
    with path.open("w") as file:
        listed = [
            {"id": k, "width": SHAPE[1], "height": SHAPE[0], "file_name": f"A172_Phase_{k}.tif"} for k in range(images)
        ]
        file.write(f'{{"images": {json.dumps(listed)}, "categories": [{{"id": 1, "name": "cell"}}], "annotations": {{')
        for number in range(annotations):
            file.write(
                f'{"," if number else ""}"{number}": {{"segmentation": [{texts[number % len(texts)]}], "area": 314.15, '
                f'"iscrowd": 0, "image_id": {number // CELLS}, "bbox": [1.0, 2.0, 3.0, 4.0], "category_id": 1, '
                f'"id": {number}}}'
            )
        file.write("}}")


def measure(annotations: int, folder: Path) -> list[str]:
    """Read a file with this number of annotations in a separate process."""
    path = folder / "coco.json"
    write_coco(path, annotations)
    size = path.stat().st_size / 2**20
    said = subprocess.run([sys.executable, "-c", READ, path], check=True, capture_output=True, text=True).stdout
    path.unlink()
    cells, before, opening, reading, peak = map(float, said.split())
    if cells != annotations:
        raise SystemExit(f"{annotations} annotations were written, {cells} read")
    figures = [f"{opening:.1f}", f"{reading:.1f}", f"{before:.0f}", f"{peak:.0f}"]
    return [f"{annotations:,}", f"{size:.0f}", *figures]


if __name__ == "__main__":
    with temporary_folder() as name:
        rows = [measure(int(count), Path(name)) for count in sys.argv[1:] or ["400000"]]
    header = ["annotations", "file, MB", "open, s", "all records, s", "memory before, MB", "peak memory, MB"]
    sys.stdout.write(table("COCO JSON, polygons of 35 points, 305 cells per image", header, rows) + "\n")
