"""Commands to run under bad conditions, and a data set for them."""

from pathlib import Path

import numpy as np
import tifffile

from cellprep import BuildOptions, build_targets, open_source

_JOBS = ["--jobs", "2", "--quiet"]

#: The commands to run in the folder of `make_inputs`. Names of outputs start with "new".
COMMANDS = {
    "help": ["--help"],
    "build": ["build-targets", "data", "--out", "new.zarr", *_JOBS],
    "check": ["check", "data", "--out", "new.csv", *_JOBS],
    "report": ["report", "data", "--out", "new.html", *_JOBS],
    "verify": ["verify", "data.zarr", *_JOBS],
    "export": ["export", "data.zarr", "--to", "coco", "--out", "new.json", *_JOBS],
    "predict": ["predict", "data/images", "--to", "label-tiff", "--device", "cpu", "--out", "new", "--quiet"],
    "train": [
        *("train", "dn", "--data", "data.zarr", "--out", "new", "--epochs", "1", "--crop", "192", "--quiet"),
        *("--base-channels", "2", "--batch-size", "8", "--device", "cpu", "--workers", "1"),
    ],
}


def make_inputs(folder: Path, images: int = 24, shape: tuple[int, int] = (200, 260)) -> None:
    """Write images of noisy discs, their label images, and a store of them."""
    rng = np.random.default_rng(0)
    y, x = np.indices(shape)
    for kind in ("images", "masks"):
        (folder / "data" / kind).mkdir(parents=True)
    for number in range(images):
        labels = np.zeros(shape, np.uint16)
        for label in range(1, 41):
            centre, radius = rng.uniform(0, shape, 2), rng.uniform(5, 14)
            labels[np.hypot(y - centre[0], x - centre[1]) < radius] = label
        pixels = np.where(labels > 0, 170, 60) + rng.normal(0, 12, shape)
        tifffile.imwrite(folder / "data" / "masks" / f"i{number:02}.tif", labels)
        tifffile.imwrite(folder / "data" / "images" / f"i{number:02}.tif", pixels.clip(0, 255).astype(np.uint8))
    build_targets(open_source(folder / "data"), folder / "data.zarr", BuildOptions(jobs=1, quiet=True))
