"""Export of a store's labels to the formats of other tools."""

from collections.abc import Sequence
from pathlib import Path

from cellprep.commands.export.image import ImageExport, export_image
from cellprep.commands.export.report import ExportReport
from cellprep.commands.export.writing import write_images
from cellprep.errors import StoreError
from cellprep.formats.annotations.content import Whole
from cellprep.formats.writers import EXPORTERS, find_exporter
from cellprep.store import StoredImage, StoreLike, as_store
from cellprep.store.entries import damaged_images
from cellprep.system.executor import check_jobs
from cellprep.system.options import Jobs, Quiet, documented
from cellprep.system.places import local_path

__all__ = ["EXPORTERS", "ExportReport", "export_labels"]


@documented
def export_labels(store: StoreLike, to: str, out: Path | str, *, jobs: Jobs = -1, quiet: Quiet = False) -> ExportReport:
    r"""Export the labels of a store: its cells after overlaps are resolved.

    The output is written to a temporary path, and moved to `out` when it is complete. The other images are exported
    even if some fail; if all fail, nothing is written.

    Parameters
    ----------
    store
        A store, or its path.
    to
        The format, a name in `EXPORTERS`.
    out
        The file to write (``kaggle-csv``, ``coco``, ``coco-polygons``) or the folder (all others). It must be new, or
        an empty folder; missing parent folders are created.

    Returns
    -------
    ExportReport
        The outcome for every image. Failed images are reported, not raised.

    Raises
    ------
    UsageError
        If the format is unknown, or `jobs` is invalid.
    StoreError
        If the store has no images.
    OutputError
        If `out` exists, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import build_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5\n0e12,9 3,6,5")
    ...     report = build_targets(csv, Path(folder, "data.zarr"))
    ...     report = export_labels(Path(folder, "data.zarr"), "kaggle-csv", Path(folder, "labels.csv"))
    ...     print(Path(folder, "labels.csv").read_text())
    id,annotation,width,height,cell_type
    0e12,8 1 14 2,6,5,
    0e12,9 3,6,5,
    <BLANKLINE>
    """
    exporter = find_exporter(to)
    check_jobs(jobs)
    store = as_store(store)
    out = local_path(out)
    images = list(store.values())
    if not images:
        raise StoreError(f"{store.path} has no images to export")
    damaged = damaged_images(store.path, {image.id for image in images})
    report = ExportReport(str(out), to, exporter, total=len(images) + len(damaged), failures=damaged)
    report.shapes.update(
        (by, *image.metadata.shape) for image in images if (by := image.metadata.options.get("shrink", 1)) != 1
    )
    types = _types(images) if exporter.needs_types else ()
    tasks = (ImageExport(exporter=exporter, image=image, types=types) for image in images)
    write_images(
        export_image,
        tasks,
        Whole(types),
        report,
        total=len(images),
        done="exported",
        jobs=jobs,
        quiet=quiet,
    )
    return report


def _types(images: Sequence[StoredImage]) -> tuple[str, ...]:
    """Return the types of all cells, sorted; an empty string stands for cells without a type."""
    names = {name for image in images for name in image.metadata.categories}
    if any(sum(image.metadata.cells_of_category) < image.metadata.cells for image in images):
        names.add("")
    return tuple(sorted(names))
