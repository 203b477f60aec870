"""A store's labels out, in the formats that other tools read."""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from cellprep.commands.export.image import ImageExport, ImageOutcome, export_image
from cellprep.commands.export.report import ExportReport
from cellprep.errors import OutputError, StoreError, UsageError
from cellprep.formats.writers import EXPORTERS, FilePerImage, OneFile
from cellprep.store import StoredImage, StoreLike, as_store
from cellprep.store.entries import damaged_images
from cellprep.system.aside import publish, written_aside
from cellprep.system.executor import Failed, check_jobs, in_order, run_tasks
from cellprep.system.options import Jobs, Quiet, documented
from cellprep.system.places import local_path

__all__ = ["EXPORTERS", "ExportReport", "export_labels"]


@documented
def export_labels(store: StoreLike, to: str, out: Path | str, *, jobs: Jobs = -1, quiet: Quiet = False) -> ExportReport:
    r"""Export the labels of a store: its cells after overlaps are resolved.

    What is at `out` is written aside and moved into place when it is whole. An image that fails stops no other;
    if all fail, nothing is written.

    Parameters
    ----------
    store
        A store, or its path.
    to
        The format, a name in `EXPORTERS`.
    out
        The file to write (``kaggle-csv``, ``coco``) or the folder (``label-tiff``, ``geojson``); the folders above
        it are made. There must be nothing yet, but for an empty folder.

    Returns
    -------
    ExportReport
        What became of every image. Failures of images are in it, not raised.

    Raises
    ------
    UsageError
        If there is no such format, or `jobs` is no number of processes.
    StoreError
        If the store holds no images.
    OutputError
        If `out` exists, or the disk takes no more.

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
    if to not in EXPORTERS:
        raise UsageError(f"export format {to!r} is unknown: it is one of {', '.join(EXPORTERS)}")
    check_jobs(jobs)
    store = as_store(store)
    out, exporter = local_path(out), EXPORTERS[to]
    images = list(store.values())
    if not images:
        raise StoreError(f"{store.path} holds no images: there is nothing to export")
    damaged = damaged_images(store.path, {image.id for image in images})
    report = ExportReport(str(out), to, total=len(images) + len(damaged), failures=damaged)
    with written_aside(out) as aside:
        tasks = list(_tasks(images, exporter, aside))
        with closing(
            run_tasks(export_image, tasks, done="exported", jobs=jobs, total=len(tasks), quiet=quiet)
        ) as outcomes:
            parts = _counted(in_order(outcomes, tasks), report)
            if isinstance(exporter, OneFile):
                with aside.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(exporter.join(images, parts))
            else:
                aside.mkdir()
                deque(parts, maxlen=0)  # the workers write
        if report.images:
            publish(aside, out)
    return report


def _tasks(images: list[StoredImage], exporter: OneFile | FilePerImage, aside: Path) -> Iterator[ImageExport]:
    for image in images:
        path = aside / f"{image.id}{exporter.suffix}" if isinstance(exporter, FilePerImage) else None
        yield ImageExport(image, exporter, path)


def _counted(
    outcomes: Iterator[tuple[ImageExport, ImageOutcome | Failed]], report: ExportReport
) -> Iterator[tuple[StoredImage, Any]]:
    """Count each image, and yield those that could be exported with their parts."""
    for task, outcome in outcomes:
        report.add(task.image.id, outcome)
        if not isinstance(outcome, Failed):
            yield task.image, outcome.part
            continue
        if task.path:
            task.path.unlink(missing_ok=True)  # a worker that was killed may have written it in part
        if outcome.unwritable:
            raise OutputError(f"cannot write {report.out}: {outcome.problem}")
