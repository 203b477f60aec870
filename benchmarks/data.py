"""The images for measurements: generated ones, and real ones if CELLPREP_TEST_DATA names them."""

import os
import tempfile
from pathlib import Path

from cellprep import open_source
from cellprep.commands.demo import write_dataset
from cellprep.formats.annotations.record import ImageRecord


def sources(folder: Path) -> dict[str, Path]:
    """Return the CSV files by name; generated ones are written to `folder`."""
    generated = write_dataset(folder / "generated", images_per_type=8, shape=(520, 704))
    found = {"generated": generated}
    real = os.environ.get("CELLPREP_TEST_DATA")
    if real:
        found = {"real": Path(real) / "sartorius" / "train.csv", **found}
    return found


def images_of(csv: Path) -> list[ImageRecord]:
    """Return all images of a source that can be built."""
    return [image for image in open_source(csv).images() if isinstance(image, ImageRecord)]


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder on the disk for stores, which TMPDIR may choose."""
    return tempfile.TemporaryDirectory(prefix="cellprep-benchmark-")
