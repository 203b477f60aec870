"""The Python API from annotations to targets, for the three tiny images next to this script.

Run it from anywhere: ``python examples/python_api.py``.
"""

import tempfile
from pathlib import Path

from cellprep import (
    Recipe,
    build_targets,
    compute_targets,
    decode_rle,
    encode_labels,
    encode_rle,
    open_store,
    parse_rle,
    resolve_overlaps,
)

DATA = Path(__file__).parent / "cells"

# Run-length text to masks and back.
texts = ["1 3 7 3", "2 2 8 2"]
masks = decode_rle(texts, shape=(5, 6))
assert encode_rle(masks) == texts
print(f"two masks of {masks[0].sum()} and {masks[1].sum()} pixels, {(masks[0] & masks[1]).sum()} of them shared")

# Overlaps: each pixel belongs to one cell; the smaller cell is on top.
cells = resolve_overlaps(parse_rle(texts, shape=(5, 6)))
print(cells.labels)

# Targets of one image, from annotations or from a label image.
targets = compute_targets(cells, Recipe(wall_width=3))
print({name: (array.shape, array.dtype.name) for name, array in targets.items()})
from_labels = compute_targets([[1, 1, 2, 2], [1, 1, 2, 2]])
print("walls between two cells that touch:", from_labels["semseg"][..., 1].tolist())

# A whole data set.
with tempfile.TemporaryDirectory() as folder:
    report = build_targets(DATA / "train.csv", Path(folder) / "data.zarr", images=DATA / "train", jobs=1, quiet=True)
    print("\n".join(report.notes()).replace(folder, "..."))
    assert not report.failures

    # The arrays that a training reads.
    store = open_store(Path(folder) / "data.zarr")
    for image_id, image in store.items():
        walls = image["semseg"][..., 1].mean()
        deepest = image["energy"].max()
        print(f"{image_id}: {image.attributes['cells']} cells, {walls:.1%} walls, deepest level {deepest}")

    # Cells for a submission: no two share a pixel.
    print("first cell:", encode_labels(store["round-1"]["labels"])[0])
