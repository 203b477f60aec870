"""Conversion of annotations and predictions between formats."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cellprep.commands.convert.image import ImageConversion, convert_image, types_of
from cellprep.commands.convert.report import ConvertReport
from cellprep.commands.export.writing import write_images
from cellprep.core.cells import Overlap, find_rule
from cellprep.errors import SourceError, UsageError
from cellprep.formats.annotations.content import Whole
from cellprep.formats.annotations.exclusions import Exclusions, read_exclusions
from cellprep.formats.annotations.folds import read_folds
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.layouts.pairing import open_images, with_images
from cellprep.formats.readers import SourceLike, SourceOptions, as_source
from cellprep.formats.writers import EXPORTERS, Exporter, find_exporter
from cellprep.system.executor import Failed, check_jobs, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented, options_of, take_values, takes

__all__ = ["ConvertOptions", "ConvertReport", "convert"]


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """Options of conversion.

    Raises
    ------
    UsageError
        If a value is invalid.
    """

    images: Annotated[
        Path | str | Literal[False] | None,
        Option(
            "Folder or URL of image files, named by id, for sizes and names, and to include in formats that contain "
            "images; in addition to the images of SOURCE.",
            metavar="FOLDER",
            unset=("--no-images", "Do not include images."),
            group="Images",
        ),
    ] = None
    exclude: Annotated[
        Path | str | None,
        Option("CSV of annotations (image, row) and images to leave out, as written by check.", group="Annotations"),
    ] = None
    overlap: Overlap = "smaller-on-top"
    simplify: Annotated[
        float,
        Option(
            "Simplify outlines to fewer corners, at most this far from the exact ones.",
            metavar="PIXELS",
            group="Output",
        ),
    ] = 0.0
    folds: Annotated[
        Path | str | None,
        Option("CSV written by `cellprep split`, for formats with folds; requires --fold.", group="Output"),
    ] = None
    fold: Annotated[int | None, Option("The fold of --folds to validate on.", group="Output")] = None
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        find_rule(self.overlap)
        check_jobs(self.jobs)
        if not 0 <= self.simplify < float("inf"):
            raise UsageError(f"simplify {self.simplify} is invalid: give a number of pixels, 0 for exact outlines")
        if (self.folds is None) != (self.fold is None):
            raise UsageError(
                "--folds and --fold require each other: give the file, and the number of the validation fold"
            )


@takes(SourceOptions, ConvertOptions)
def convert(
    source: SourceLike, to: str, out: Path | str, options: ConvertOptions | None = None, **keywords: Any
) -> ConvertReport:
    r"""Convert annotations or predictions to a format that other tools open.

    Overlapping cells keep all their pixels if the format can hold overlaps. The report counts the features that it
    cannot hold. The output is written to a temporary path, and moved to `out` when it is complete. The other images are
    converted even if some fail; if all fail, nothing is written.

    Parameters
    ----------
    source
        The annotations: their path, the result of `cellprep.open_source`, or of `cellprep.open_prediction` for COCO
        results, a store, or arrays of labels by image id.
    to
        The format, a name in `EXPORTERS`.
    out
        The file to write (``kaggle-csv``, ``coco``, ``coco-polygons``) or the folder (all others). It must be new, or
        an empty folder; missing parent folders are created.
    options
        Options of conversion.
    **keywords
        Fields of `ConvertOptions`, and how a source is read (``format``, ``rle_order``, ``crowds``), by name.

    Returns
    -------
    ConvertReport
        The outcome for every image. Failed images are reported, not raised.

    Raises
    ------
    UsageError
        If the format is unknown, or an option does not apply to it; or if image sizes are unknown without image files.
    SourceError
        If the source has no images.
    ImageFileError
        If the folder of images cannot be read.
    OutputError
        If `out` exists, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv, out = Path(folder, "train.csv"), Path(folder, "train")
    ...     _ = csv.write_text("id,annotation,width,height\na,1 2 4 2,3,2\na,2 2,3,2")
    ...     report = convert(csv, "label-tiff", out, quiet=True)
    ...     sorted(path.name for path in out.glob("*.tif")), report.losses
    (['a.tif'], {'overlaps': 2})
    """
    source, keywords = as_source(source, keywords)
    options = options_of(ConvertOptions, options, keywords)
    exporter = find_exporter(to)
    _refuse_strangers(to, exporter, options)
    exclusions = _exclusions(source, options)
    total = len(source.image_ids) - len(exclusions.images)
    if not total:
        raise SourceError(f"{source.name} has no images to convert")
    images = _Images(source, exporter, exclusions, open_images(source, options.images or None), options)
    whole = _whole(images, options) if exporter.needs_types else Whole()
    report = ConvertReport(str(out), to, exporter, total=total, overlap=options.overlap)
    write_images(
        convert_image,
        (task.knowing(whole.types) for task in images),
        whole,
        report,
        total=total,
        done="converted",
        jobs=options.jobs,
        quiet=options.quiet,
    )
    return report


def _refuse_strangers(to: str, exporter: Exporter, options: ConvertOptions) -> None:
    """Refuse options that do not apply to a format."""
    if options.simplify and not exporter.is_outlines:
        able = [name for name, known in EXPORTERS.items() if known.is_outlines]
        raise UsageError(f"{to} has no outlines to simplify: leave out --simplify, or use one of {', '.join(able)}")
    if options.folds is not None and not exporter.knows_folds:
        able = [name for name, known in EXPORTERS.items() if known.knows_folds]
        raise UsageError(f"{to} has no folds: leave out --folds, or use one of {', '.join(able)}")


def _exclusions(source: Source, options: ConvertOptions) -> Exclusions:
    if options.exclude is None:
        return Exclusions("", "", {}, frozenset())
    exclusions = read_exclusions(options.exclude)
    if strangers := sorted(exclusions.named.difference(source.image_ids)):
        raise UsageError(f"{exclusions.name} names image {strangers[0]!r}, which is not in {source.name}")
    return exclusions


class _Images:
    """The images of a source as tasks, which are made again on each iteration to keep few in memory."""

    def __init__(
        self,
        source: Source,
        exporter: Exporter,
        exclusions: Exclusions,
        folder: ImageFolder | None,
        options: ConvertOptions,
    ) -> None:
        self._source, self._exporter, self._exclusions = source, exporter, exclusions
        self._folder, self._options = folder, options
        self._fold_of = read_folds(options.folds)[0] if options.folds is not None else {}
        if unknown := [name for name in source.image_ids if self._fold_of and name not in self._fold_of]:
            raise UsageError(f"{options.folds} has no fold for image {unknown[0]!r}: make it from this source")
        if self._fold_of and options.fold not in self._fold_of.values():
            known = ", ".join(map(str, sorted(set(self._fold_of.values()))))
            raise UsageError(f"{options.folds} has no fold {options.fold}: it has {known}")

    def __iter__(self) -> Iterator[ImageConversion]:
        options, fold_of = self._options, self._fold_of
        for record in with_images(self._source, self._folder, options.orientation, options.planes):
            if record.image_id in self._exclusions.images:
                continue
            rows = self._exclusions.rows.get(record.image_id, ())
            yield ImageConversion(
                exporter=self._exporter,
                record=record if isinstance(record, FaultyImage) else record.without(rows),
                overlap=options.overlap,
                simplify=options.simplify,
                fold="val" if fold_of and fold_of[record.image_id] == options.fold else "train",
                takes_picture=self._exporter.takes_pictures and options.images is not False,
            )


def _whole(images: Iterable[ImageConversion], options: ConvertOptions) -> Whole:
    """Return facts about all cells; unreadable images are reported when they are converted."""
    found: set[str] = set()
    unknown = []
    has_scores = False
    for task in images:
        known = task.known_types()
        has_scores = has_scores or task.has_scores
        if known is None:
            unknown.append(task)
        else:
            found |= known
    for _, types in run_tasks(
        types_of, unknown, done="read", jobs=options.jobs, total=len(unknown), quiet=options.quiet
    ):
        found |= set() if isinstance(types, Failed) else types
    return Whole(tuple(sorted(found)), "predicted" if has_scores else "labels converted")
