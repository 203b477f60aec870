"""The share of nuclei that a bundle finds, by size and by distance to the nearest other nucleus.

    CELLPREP_TEST_DATA=data python -m benchmarks.crowding [WEIGHTS]

The validation images of DSB2018 and BBBC039 are segmented, which takes two minutes.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.timing import table
from cellprep import measure
from cellprep.core.scores.matches import list_matches
from cellprep.learn import load_bundle, segment

SETS = "dsb2018", "bbbc039"
GROUPS = {  # by property: the title, and the limits of its groups
    "equivalent_diameter_area": ("diameter", (0, 12, 20, 30, 45, np.inf)),
    "nearest_distance": ("distance", (0, 2, 10, np.inf)),  # 1 if nuclei touch
}
IOUS = 0.5, 0.7, 0.9


def main() -> None:
    """Print the table."""
    bundle = load_bundle((sys.argv[1:] or ["nuclei"])[0])
    # IoUs of true nuclei, by group and set.
    ious: dict[tuple[str, float, float], dict[str, list[float]]] = {
        (title, *ends): {name: [] for name in SETS} for title, limits in GROUPS.values() for ends in pairwise(limits)
    }
    for name in SETS:
        data = Path(os.environ["CELLPREP_TEST_DATA"], name)
        for image_id in (data / "validation_ids.txt").read_text().split():
            image, masks = (tifffile.imread(data / kind / f"{image_id}.tif") for kind in ("images", "masks"))
            labels = np.searchsorted(np.union1d(0, masks), masks)
            matches = list_matches(segment(image, bundle, device="cpu"), labels)
            found = [match.iou * (match.verdict == "matched") for match in matches if match.truth is not None]
            about = measure(labels, properties=[*GROUPS], jobs=1, quiet=True)
            for column, (title, limits) in GROUPS.items():
                places = np.searchsorted(limits, about[column].fillna(np.inf)) - 1
                for place, iou in zip(places, found, strict=True):
                    ious[title, limits[place], limits[place + 1]][name].append(iou)
    rows = [
        [f"{title} {low:g} to {high:g}", *(cell for name in SETS for cell in _cells(of_group[name]))]
        for (title, low, high), of_group in ious.items()
    ]
    header = ["pixels", *(f"{name}: {what}" for name in SETS for what in ("nuclei", "found at .5 / .7 / .9"))]
    sys.stdout.write(table("Nuclei by size and crowding", header, rows) + "\n")


def _cells(ious: list[float]) -> list[str]:
    shares = [np.mean(np.array(ious) >= iou) for iou in IOUS] if ious else []
    return [f"{len(ious):,}", " / ".join(f"{share:.2f}" for share in shares)]


if __name__ == "__main__":
    main()
