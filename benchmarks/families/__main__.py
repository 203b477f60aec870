"""Compare families of targets with their packages: ``python -m benchmarks.families [NAME...] --data DIR``."""

import argparse
import os
import sys
import warnings
from pathlib import Path

import cv2

from benchmarks.families import compare, comparisons, draw, load, load_results, real_images, save_results, tables
from benchmarks.timing import noise
from cellprep.system.memory import keep_freed_memory

HERE = Path(__file__).parent
CHART = HERE.parent.parent / "docs" / "families.webp"


def main() -> None:
    """Measure families whose packages are installed, add them to the results, and print and draw all results."""
    names = comparisons()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)}; by default all")
    data = os.environ.get("CELLPREP_TEST_DATA")
    parser.add_argument("--data", type=Path, default=data, help="folder of real images; by default CELLPREP_TEST_DATA")
    parser.add_argument("--limit", type=int, help="largest number of images of each set; by default all")
    parser.add_argument(
        "--repeats", type=int, default=3, help="repeats for each image, the fastest of which is used; default 3"
    )
    parser.add_argument(
        "--results", type=Path, default=HERE / "results.json", help="file of results; tables are written next to it"
    )
    parser.add_argument("--chart", type=Path, default=CHART, help="picture to draw")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; use some of {', '.join(names)}")
    if options.data is None:
        parser.error("name a folder of real images with --data or CELLPREP_TEST_DATA")
    warnings.simplefilter("ignore")  # of the other packages
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the command does
    results = load_results(options.results)
    for name in options.names or names:
        try:
            module, version = load(name)
        except ImportError as error:
            sys.stderr.write(f"{name} is skipped: {error}\n")
            continue
        before = noise()
        sets = compare(module, real_images(options.data, options.limit), options.repeats)
        results[name] = {"package": module.PACKAGE, "version": version, "noise": str(before), "sets": sets}
        save_results(options.results, results)
        sys.stderr.write(f"{name} is measured\n")
    results = {name: results[name] for name in sorted(results)}
    text = tables(results)
    sys.stdout.write(text)
    options.results.with_suffix(".md").write_text(
        f"# Target families compared with their packages\n{text}", encoding="utf-8"
    )
    draw(results, options.chart)


main()
