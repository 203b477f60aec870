"""A generated data set, end to end: images and annotations, their targets, and a picture of them."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cellprep._version import __version__
from cellprep.annotations import open_source
from cellprep.build import BuildOptions, BuildReport, build_targets
from cellprep.errors import SourceError
from cellprep.preview import draw_targets
from cellprep.rle import encode_rle
from cellprep.store import open_store
from cellprep.synthesis import CELL_TYPES, synthesise_cells, synthesise_image

__all__ = ["Demo", "run_demo", "write_dataset"]

_MADE_BY = "cellprep demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """What a demonstration left behind.

    Attributes
    ----------
    report
        What the build did.
    picture
        The picture of one image's targets; None if the build failed.
    """

    report: BuildReport
    picture: Path | None


def run_demo(out: Path, *, seed: int = 0, jobs: int = -1, quiet: bool = False) -> Demo:
    """Generate a data set, build its targets, and draw those of one image.

    Parameters
    ----------
    out
        Folder for all of it: new, empty, or one that a demonstration made.
    seed
        Of the data set, from 0; it is recorded in ``demo.json``.
    jobs
        Number of processes; -1 for one per core.
    quiet
        Whether to show no progress bar.

    Raises
    ------
    SourceError
        If `out` holds something else, or cannot be written to.
    MissingExtraError
        If Matplotlib is not installed; everything but the picture is then there.
    """
    record = out / "demo.json"
    try:
        _claim(out, record, seed)
        annotations = write_dataset(out, seed=seed)
    except OSError as error:
        raise SourceError(f"cannot write the data set to {out}: {error.strerror}") from error
    store = out / "data.zarr"
    report = build_targets(open_source(annotations), store, BuildOptions(images=out / "train", jobs=jobs, quiet=quiet))
    if report.errors():
        return Demo(report, None)
    picture = out / "targets.png"
    draw_targets(open_store(store)["spindle-1"], picture)
    return Demo(report, picture)


def _claim(out: Path, record: Path, seed: int) -> None:
    """Take a folder that is new, empty or a demonstration's, and leave a record that it is one."""
    if out.is_dir() and any(out.iterdir()):
        try:
            ours = json.loads(record.read_bytes())["made_by"] == _MADE_BY
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            ours = False
        if not ours:
            raise SourceError(f"{out} holds something else: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"made_by": _MADE_BY, "version": __version__, "seed": seed}, indent=2) + "\n")


def write_dataset(out: Path, *, seed: int = 0, images_per_type: int = 4, shape: tuple[int, int] = (260, 352)) -> Path:
    """Generate images and their annotations in Kaggle's columns.

    Parameters
    ----------
    out
        Folder to write ``train.csv`` and ``train/<id>.png`` to, over what has these names; made unless there.
    seed
        Of all randomness; the same seed gives the same files.
    images_per_type
        Number of images of each type of cells.
    shape
        (H, W) of the images, in pixels.

    Returns
    -------
    Path
        The CSV.
    """
    (out / "train").mkdir(parents=True, exist_ok=True)
    height, width = shape
    rng = np.random.default_rng(seed)
    with (out / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "annotation", "width", "height", "cell_type"])
        for cell_type in CELL_TYPES:
            for number in range(1, images_per_type + 1):
                image_id = f"{cell_type}-{number}"
                masks = list(synthesise_cells(rng, shape, cell_type))
                Image.fromarray(synthesise_image(rng, shape, masks)).save(out / "train" / f"{image_id}.png")
                for mask in masks:
                    writer.writerow([image_id, encode_rle(mask[np.newaxis])[0], width, height, cell_type])
    return out / "train.csv"
