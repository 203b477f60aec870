"""Generated data sets: images with annotations, their targets, and a picture of the targets."""

import csv
import json
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cellprep._version import __version__
from cellprep.commands.build_targets import BuildReport, build_targets
from cellprep.commands.preview import draw_targets
from cellprep.core.rle import encode_rle
from cellprep.core.synthesis import (
    CELL_TYPES,
    synthesise_cells,
    synthesise_fluorescence,
    synthesise_image,
    synthesise_nuclei,
)
from cellprep.errors import SourceError, UsageError
from cellprep.store import open_store
from cellprep.system.options import Jobs, Option, Quiet, documented

_MADE_BY = "cellprep demo"
_SHAPE = (260, 352)

# Each data set has its own random numbers, so that a change to one leaves the others as they are.
_MIXED, _NUCLEI = 1, 2


@dataclass(frozen=True, slots=True)
class Demo:
    """The results of a demonstration.

    Attributes
    ----------
    report
        The report of the build.
    nuclei
        Folder of images of fluorescent nuclei, for the bundled weights.
    picture
        The picture of one image's targets; None if the build failed.
    """

    report: BuildReport
    nuclei: Path
    picture: Path | None


@documented
def run_demo(
    out: Path,
    *,
    seed: typing.Annotated[int, Option("Random seed of the data sets, 0 or more.")] = 0,
    jobs: Jobs = -1,
    quiet: Quiet = False,
) -> Demo:
    """Generate data sets, build the targets of the first, and draw the targets of one image.

    ``train.csv`` and ``train/`` contain phase-contrast images with cells of three types, one type per image.
    ``mixed.csv`` and ``mixed/`` contain images with cells of all types. ``nuclei.csv`` and ``nuclei/`` contain
    fluorescent nuclei.

    Parameters
    ----------
    out
        Output folder: new, empty, or made by an earlier demonstration.

    Raises
    ------
    SourceError
        If `out` contains other files, or cannot be written to.
    MissingExtraError
        If Matplotlib is not installed; everything except the picture is written nevertheless.
    UsageError
        If the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"seed {seed} is negative: give 0 or more")
    record = out / "demo.json"
    try:
        _claim(out, record, seed)
        annotations = write_dataset(out, seed=seed)
        write_mixed(out, seed=seed)
        nuclei = write_nuclei(out, seed=seed).with_suffix("")
    except OSError as error:
        raise SourceError(f"cannot write the data set to {out}: {error.strerror}") from error
    store = out / "data.zarr"
    report = build_targets(annotations, store, images=out / "train", jobs=jobs, quiet=quiet)
    if report.errors():
        return Demo(report, nuclei, None)
    picture = out / "targets.png"
    draw_targets(open_store(store)["spindle-1"], picture)
    return Demo(report, nuclei, picture)


def _claim(out: Path, record: Path, seed: int) -> None:
    """Take a folder that is new, empty or from an earlier demonstration, and leave a record in it."""
    if out.is_dir() and any(out.iterdir()):
        try:
            ours = json.loads(record.read_bytes())["made_by"] == _MADE_BY
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            ours = False
        if not ours:
            raise SourceError(f"{out} contains files that cellprep demo did not write: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"made_by": _MADE_BY, "version": __version__, "seed": seed}, indent=2) + "\n")


def write_dataset(out: Path, *, seed: int = 0, images_per_type: int = 4, shape: tuple[int, int] = _SHAPE) -> Path:
    """Generate images and their annotations in Kaggle's columns.

    Parameters
    ----------
    out
        Folder for ``train.csv`` and ``train/<id>.png``, which are overwritten; created if missing.
    seed
        Random seed; the same seed gives the same files.
    images_per_type
        Number of images of each cell type.
    shape
        (H, W) of the images, in pixels.

    Returns
    -------
    Path
        The CSV.
    """
    rng = np.random.default_rng(seed)
    with _AnnotatedImages(out, "train", shape) as images:
        for cell_type in CELL_TYPES:
            for number in range(1, images_per_type + 1):
                cells = [(mask, cell_type) for mask in synthesise_cells(rng, shape, cell_type)]
                images.write(f"{cell_type}-{number}", synthesise_image(rng, shape, _masks(cells)), cells)
    return images.csv


def write_mixed(out: Path, *, seed: int = 0, count: int = 3, shape: tuple[int, int] = _SHAPE) -> Path:
    """Generate images with cells of all types, and their annotations with the type of each cell.

    Parameters
    ----------
    out
        Folder for ``mixed.csv`` and ``mixed/<id>.png``, which are overwritten; created if missing.
    seed
        Random seed; the same seed gives the same files.
    count
        Number of images.
    shape
        (H, W) of the images, in pixels.

    Returns
    -------
    Path
        The CSV.
    """
    rng = np.random.default_rng([seed, _MIXED])
    with _AnnotatedImages(out, "mixed", shape) as images:
        for number in range(1, count + 1):
            taken = np.zeros(shape, bool)
            cells = [
                (mask, cell_type)
                for cell_type in CELL_TYPES
                for mask in synthesise_cells(rng, shape, cell_type, taken=taken, share=1 / len(CELL_TYPES))
            ]
            images.write(f"mixed-{number}", synthesise_image(rng, shape, _masks(cells)), cells)
    return images.csv


def write_nuclei(out: Path, *, seed: int = 0, count: int = 3, shape: tuple[int, int] = _SHAPE) -> Path:
    """Generate images of fluorescent nuclei and their annotations, ``nuclei.csv`` and ``nuclei/<id>.png``.

    Parameters and return value are those of `write_mixed`.
    """
    rng = np.random.default_rng([seed, _NUCLEI])
    with _AnnotatedImages(out, "nuclei", shape) as images:
        for number in range(1, count + 1):
            cells = [(mask, "nucleus") for mask in synthesise_nuclei(rng, shape)]
            images.write(f"nuclei-{number}", synthesise_fluorescence(rng, shape, _masks(cells)), cells)
    return images.csv


Annotated = tuple[NDArray[np.bool_], str]  # the mask of a cell, and its type


def _masks(cells: list[Annotated]) -> list[NDArray[np.bool_]]:
    return [mask for mask, _ in cells]


class _AnnotatedImages:
    """A writer of images to a folder, and of their annotations to the CSV of the same name."""

    def __init__(self, out: Path, name: str, shape: tuple[int, int]) -> None:
        self.csv = out / f"{name}.csv"
        self._folder = out / name
        self._height, self._width = shape

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self.csv.open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._file)
        self._table.writerow(["id", "annotation", "width", "height", "cell_type"])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, image_id: str, pixels: NDArray[np.uint8], cells: list[Annotated]) -> None:
        from PIL import Image

        Image.fromarray(pixels).save(self._folder / f"{image_id}.png")
        for mask, cell_type in cells:
            self._table.writerow([image_id, encode_rle(mask), self._width, self._height, cell_type])
