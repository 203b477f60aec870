"""Energy bins fitted to the cells of a store."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from cellprep.core.targets import BIN_METHODS, BIN_PRESETS, DistanceHistogram, choose_bins
from cellprep.errors import StoreError
from cellprep.store import Store, StoredImage, StoreLike, as_store
from cellprep.store.entries import damaged_images
from cellprep.system.executor import Failed, check_jobs, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented
from cellprep.system.output import check_place, write_whole
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import capped, count, printable

_NONE = DistanceHistogram.of(np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class _ImageDistances:
    """The distances of one image, from a worker."""

    histogram: DistanceHistogram = _NONE
    distance: str = ""
    background_cell: bool = False
    fills: bool = False


@dataclass
class FittedBins(Report):
    """Energy bins, and the data that they were fitted to.

    Attributes
    ----------
    store
        The store's name.
    method
        A name in `cellprep.BIN_METHODS`.
    levels
        Number of energy levels, including level 0.
    bins
        ``levels - 1`` ascending distances, in pixels.
    histogram
        The distances of all cell pixels except walls, which have distances only per instance.
    images
        Number of images that the distances are from.
    distances
        Number of images by distance method, and whether distances are per instance.
    background_cells
        Number of images built with the background as a cell, whose distances are left out.
    filling
        Ids of the images that a cell fills completely. They are left out, as their distances are not defined.
    failures
        The problem of each image that could not be read.
    rows
        For each other image, the number of cell pixels used, its distances, and whether a cell fills it.
    """

    store: str
    method: str
    levels: int
    bins: tuple[float, ...] = ()
    histogram: DistanceHistogram = _NONE
    images: int = 0
    distances: Counter[str] = field(default_factory=Counter)
    background_cells: int = 0
    filling: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def to_json(self) -> str:
        """Return the content of a file for `cellprep.read_bins`, including how the bins were fitted."""
        content = {
            "bins": self.bins,
            "method": self.method,
            "levels": self.levels,
            "store": self.store,
            "distance": sorted(self.distances),
            "images": self.images,
            "pixels": self.histogram.pixels,
        }
        return json.dumps(content, indent=2) + "\n"

    def notes(self) -> list[str]:
        """Return lines on the energy levels of the bins, and of the named bins for comparison."""
        pixels = count(self.histogram.pixels, "cell pixel")
        lines = [f"fitted bins ({self.method}), {pixels} of {count(self.images, 'image')}:"]
        lines += self._table(self.bins)
        for name, preset in BIN_PRESETS.items():
            lines += [f"the bins {name}, for comparison:", *self._table(preset.bins)]
        if self.filling:
            lines.append("left out, as a cell fills the image, so that its distances are not defined:")
            lines += capped(map(printable, self.filling), "image")
        if self.background_cells:
            lines.append(
                f"note: {count(self.background_cells, 'image')} built with --background-cell: "
                "the bins are fitted to the cells only"
            )
        if len(self.distances) > 1:
            found = ", ".join(f"{name} {count:,}" for name, count in sorted(self.distances.items()))
            lines.append(
                f"warning: the images were built with different distance methods ({found}): "
                "build all of them with the same method, and fit again"
            )
        return lines

    def _aftermath(self) -> str:
        return "; the bins are fitted without them"

    def _table(self, bins: tuple[float, ...]) -> list[str]:
        edges = ["0", *map(str, bins), "more"]
        levels = enumerate(zip(edges[:-1], edges[1:], self.histogram.pixels_by_level(bins).tolist(), strict=True))
        rows = [
            [str(level), low, high, f"{pixels:,}", f"{pixels / self.histogram.pixels:.2%}"]
            for level, (low, high, pixels) in levels
        ]
        return text_table(["level", "from", "to below", "pixels", "share"], rows)


@documented
def fit_bins(
    store: StoreLike,
    out: Path | str | None = None,
    *,
    levels: Annotated[int, Option("Number of energy levels, including level 0: 2 to 256.")] = 17,
    method: Annotated[str, Option("Method to choose the bins", BIN_METHODS)] = "distances",
    jobs: Jobs = -1,
    quiet: Quiet = False,
) -> FittedBins:
    r"""Fit energy bins to the distances of the cells in a store.

    Only pixels of ``semseg[..., 0]`` are used. Images that cannot be read are left out and listed.

    Parameters
    ----------
    store
        A store, or its path.
    out
        JSON file to write, for ``build-targets --bins``; by default none.

    Returns
    -------
    FittedBins
        The bins, and the images that could not be read.

    Raises
    ------
    StoreError
        If the store contains no images or no cell pixels.
    UsageError
        If the method is unknown, or there are more levels than different distances.
    OutputError
        If `out` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 3 14 3 20 3,6,5")
    ...     report = build_targets(csv, Path(folder, "data.zarr"))
    ...     fit_bins(Path(folder, "data.zarr"), levels=3).bins
    (0.95500183, 1.9100037)
    """
    check_jobs(jobs)
    store = as_store(store)
    if out is not None:
        out = local_path(out)
        check_place(out)
    ids = list(store)
    fitted = FittedBins(store.path.resolve().name, method, levels, failures=damaged_images(store.path, set(ids)))
    paths = [store.path / image_id for image_id in ids]
    for path, found in run_tasks(_measure, paths, done="read", jobs=jobs, total=len(paths), quiet=quiet):
        image_id = path.name
        if isinstance(found, Failed):
            fitted.failures[image_id] = found.problem
            continue
        numbers = {"pixels": found.histogram.pixels, "distance": found.distance, "fills": found.fills}
        fitted.rows.append({"image": image_id, **numbers})
        fitted.distances[found.distance] += 1
        fitted.background_cells += found.background_cell
        if found.fills:
            fitted.filling.append(image_id)
        else:
            fitted.images += 1
            fitted.histogram += found.histogram
    fitted.filling.sort()
    fitted.failures = dict(sorted(fitted.failures.items()))
    fitted.rows.sort(key=lambda row: str(row["image"]))
    _refuse_nothing(fitted, store)
    fitted.bins = choose_bins(fitted.histogram, levels, method)
    if out is not None:
        write_whole(out, fitted.to_json())
    return fitted


def _refuse_nothing(fitted: FittedBins, store: Store) -> None:
    if fitted.histogram.pixels:
        return
    if fitted.failures:
        image_id, problem = min(fitted.failures.items())
        raise StoreError(f"no image with cells in {store.path} can be read; the first one, {image_id!r}: {problem}")
    if fitted.filling:
        raise StoreError(
            f"in all images of {store.path}, a cell fills the image: there are no distances to fit bins to"
        )
    raise StoreError(f"{store.path} has no {'cell pixels' if fitted.images else 'images'} to fit bins to")


def _measure(path: Path) -> _ImageDistances:
    """Count the distances of one image's cells."""
    image = StoredImage(path)
    recipe = image.recipe
    semseg = image.read("semseg")
    inside = semseg[..., 2] == 0 if recipe.per_instance else semseg[..., 0] == 1
    distance = image.read("distance")[inside]
    fills = bool(inside.all()) and bool((distance == np.float32(np.hypot(*inside.shape))).all())
    histogram = _NONE if fills else DistanceHistogram.of(distance)
    distances = recipe.distance + (" per instance" if recipe.per_instance else "")
    return _ImageDistances(histogram, distances, recipe.background_cell, fills)
