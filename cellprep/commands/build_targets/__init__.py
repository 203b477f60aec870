"""Building of a store of targets from annotations."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellprep._version import __version__
from cellprep.commands.build_targets.image import build_image
from cellprep.commands.build_targets.options import BuildOptions
from cellprep.commands.build_targets.pixels import PixelSource, open_pixels
from cellprep.commands.build_targets.report import BuildReport
from cellprep.commands.build_targets.task import ImageOutcome, ImageTask, Status
from cellprep.errors import CellprepError, StoreError, StoreWriteError, UsageError
from cellprep.formats.annotations.exclusions import Exclusions, read_exclusions
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.readers import SourceLike, SourceOptions, as_source
from cellprep.store import Store, StoreWriter, Summary, store_place
from cellprep.store.image import read_attributes
from cellprep.store.metadata import ImageMetadata
from cellprep.store.remote import store_writer
from cellprep.system.executor import Failed, cores_each, run_tasks
from cellprep.system.options import options_of, takes
from cellprep.system.places import is_shared

__all__ = ["BuildOptions", "BuildReport", "build_targets"]


@takes(SourceOptions, BuildOptions)
def build_targets(
    source: SourceLike, out: Path | str, options: BuildOptions | None = None, **keywords: Any
) -> BuildReport:
    r"""Build the targets of every image of a source into a store.

    Images that are up to date stay unchanged, and stale images are replaced. The other images are built even if some
    fail. However a run ends, every image in the store is complete.

    Parameters
    ----------
    source
        The annotations: their path, the result of `cellprep.open_source`, a store, or arrays of labels by image id.
    out
        Folder of the store, or its URL in an object store; created if missing.
    options
        What to build, and how.
    **keywords
        Fields of `BuildOptions` and `Recipe`, such as ``wall_width=5``, and how a source is read (``format``,
        ``rle_order``, ``crowds``), by name.

    Returns
    -------
    BuildReport
        The outcome for every image. Failures, and the reason for an early end, are reported, not raised.

    Raises
    ------
    StoreError
        If `out` is not a store, or another run is writing to it.
    UsageError
        If a selected image is not in the source.
    ImageFileError
        If the image folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> rows = ["id,annotation,width,height", "a,8 2 14 2,6,5", "b,,6,5", "c,29 3,6,5"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("\n".join(rows))
    ...     report = build_targets(csv, Path(folder, "data.zarr"), wall_width=5, jobs=1)
    >>> report.new, report.cells, report.empty
    (2, 1, 1)
    >>> report.failures["c"]
    "train.csv row 4: run '29 3' goes past the last pixel, 30 (5 x 6)"
    """
    source, keywords = as_source(source, keywords)
    options = options_of(BuildOptions, options, keywords)
    out = store_place(out, "out")
    plan = _plan(source, out, options)
    folder = plan.pixels.folder
    if not all(map(is_shared, (out, source.path, folder.path if folder else ""))):
        if options.scheduler:
            raise UsageError(
                f"memory:// belongs to this process only, so that the workers of {options.scheduler} cannot read it"
            )
        options = replace(options, jobs=1)
    report = BuildReport(str(out), source.order, total=plan.pixels.report.total, pixels=plan.pixels.report)
    report.of_category = Counter() if source.categories else None
    report.sizes.given, report.shrink = options.pixel_size, options.recipe.shrink
    report.unannotated = folder.others(source.image_ids) if folder else source.unannotated
    with store_writer(out) as writer:
        writer.set_attributes(_store_attributes(source, options, plan))
        tasks = _tasks(source, plan, out, writer.workspace, options)
        summary = Summary()
        try:
            _build_all(tasks, writer, report, summary, options)
            report.gone = Store(out).others(plan.known)
            report.pruned = options.prune
            for image_id in report.gone if options.prune else ():
                writer.remove(image_id)
            writer.flush()
            if report.total == len(plan.known):
                _add_others(summary, out, [] if options.prune else report.gone)
                writer.set_summary(_summary(report, summary))
        except CellprepError as error:
            report.stopped = str(error)
    report.sort(source.image_ids)
    return report


@dataclass(frozen=True, slots=True)
class _Plan:
    """The images to build, the exclusions, and the source of the pixels."""

    known: frozenset[str]
    exclusions: Exclusions | None
    pixels: PixelSource


def _plan(source: Source, out: Path, options: BuildOptions) -> _Plan:
    known = frozenset(source.image_ids)
    exclusions = read_exclusions(options.exclude) if options.exclude is not None else None
    if exclusions:
        if strangers := sorted(exclusions.named - known):
            raise UsageError(f"{exclusions.name} names image {strangers[0]!r}, which is not in {source.name}")
        known -= exclusions.images
    if unknown := [image_id for image_id in options.only if image_id not in known]:
        raise UsageError(f"image {', '.join(map(repr, unknown))} is not in {source.name}, or is excluded")
    if source.in_files and source.path.is_dir() and source.path.resolve() == out.resolve():
        raise UsageError(f"{out} is both the source and the store to write: choose another --out")
    return _Plan(known, exclusions, open_pixels(source, options.images, len(set(options.only) or known)))


def _build_all(
    tasks: Iterator[ImageTask], writer: StoreWriter, report: BuildReport, summary: Summary, options: BuildOptions
) -> None:
    outcomes = run_tasks(
        build_image,
        tasks,
        done="built",
        jobs=options.jobs,
        total=report.total,
        quiet=options.quiet,
        scheduler=options.scheduler,
    )
    with closing(outcomes):  # so that no worker writes to the workspace while it is removed
        for task, result in outcomes:
            _take(task.record.image_id, result, writer, report, summary)


def _take(
    image_id: str, outcome: ImageOutcome | Failed, writer: StoreWriter, report: BuildReport, summary: Summary
) -> None:
    was_there = False
    if isinstance(outcome, Failed):
        was_there = writer.remove(image_id)
    elif outcome.status == Status.BUILT:
        try:
            was_there = writer.commit(image_id)
        except StoreError as error:
            outcome = Failed.of(error)
    if isinstance(outcome, Failed):
        report.fail(image_id, outcome.problem, was_there=was_there)
        if outcome.unwritable:
            raise StoreWriteError(report.store, outcome.problem)
    else:
        report.add(outcome, was_there=was_there)
        if outcome.metadata:
            summary.add(outcome.metadata)


def _add_others(summary: Summary, store: Path, gone: list[str]) -> None:
    for image_id in gone:
        with suppress(StoreError):  # `info` notices that the summary counts too few images
            summary.add(ImageMetadata.of(read_attributes(store / image_id)))


def _summary(report: BuildReport, summary: Summary) -> dict[str, Any]:
    stored = report.new + report.rewritten + report.current
    return {"source_images": report.total, "source_images_stored": stored, **summary.to_dict()}


def _tasks(source: Source, plan: _Plan, store: Path, workspace: Path, options: BuildOptions) -> Iterator[ImageTask]:
    only = set(options.only)
    total = len(only or plan.known)
    threads = 1 if options.scheduler else cores_each(options.jobs, total)
    # The bars of several images would overwrite each other.
    quiet = options.quiet or options.scheduler is not None or total > 1
    for image in source.images():
        if (only and image.image_id not in only) or image.image_id not in plan.known:
            continue
        record, lacking = plan.pixels.pair(image)
        left_out = plan.exclusions.rows.get(record.image_id, ()) if plan.exclusions else ()
        yield ImageTask(
            record=_as_chosen(record, left_out, options),
            recipe=options.recipe,
            pixel_size=options.pixel_size,
            store=store,
            overwrite=options.rebuild,
            workspace=workspace,
            threads=threads,
            quiet=quiet,
            store_pixels=not plan.pixels.report.declined,
            must_have_pixels=plan.pixels.must,
            lacking=lacking,
        )


def _as_chosen(
    record: ImageRecord | FaultyImage, left_out: Iterable[int], options: BuildOptions
) -> ImageRecord | FaultyImage:
    if isinstance(record, FaultyImage):
        return record
    return record.without(left_out).read_as(
        options.orientation, keep_channels=options.channels == "keep", planes=options.planes
    )


def _store_attributes(source: Source, options: BuildOptions, plan: _Plan) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "version": __version__,
        "recipe": {
            **options.recipe.to_dict(),
            "images": plan.pixels.report.stored,
            "pixel_size": options.pixel_size,
            "rle_order": source.order,
            "bins_name": options.recipe.preset,
            "credit": "; ".join(family.credit for family in options.recipe.targets),
        },
        "source": {"name": source.name, "format": source.format, "sha256": source.sha256},
    }
    if source.categories:
        attributes["source"]["categories"] = source.categories.content()
    if left_out := plan.exclusions:
        attributes["excluded"] = {
            "name": left_out.name,
            "sha256": left_out.sha256,
            "annotations": sum(map(len, left_out.rows.values())),
            "images": sorted(left_out.images),
        }
    return attributes
