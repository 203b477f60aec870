"""Scoring of predicted cells against true cells, image by image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cellprep.commands.evaluate.choosing import choose_images
from cellprep.commands.evaluate.classes import (
    draw_confusion,
    refuse_cells_without_class,
    refuse_confusion,
    refuse_unknown_classes,
)
from cellprep.commands.evaluate.image import EvaluationTask, ImageEvaluation, evaluate_image
from cellprep.commands.evaluate.matches import table_of_matches
from cellprep.commands.evaluate.pictures import Drawing, draw_verdicts, require_matplotlib
from cellprep.commands.evaluate.report import EvaluationReport
from cellprep.errors import ImageFileError, OutputError, UnpairedError, UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.readers import SourceLike, SourceOptions, as_prediction, as_source
from cellprep.system.executor import Failed, check_jobs, in_order, run_tasks
from cellprep.system.options import Jobs, Only, Option, Quiet, documented, options_of, take_values, takes
from cellprep.system.places import as_place, local_path
from cellprep.text.wording import described

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "EvaluationOptions",
    "EvaluationReport",
    "ImageEvaluation",
    "draw_confusion",
    "draw_worst",
    "drawings_of_worst",
    "evaluate",
    "refuse_confusion",
    "refuse_pictures",
    "require_matplotlib",
]


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """Options of scoring: what to score, and how.

    Raises
    ------
    UsageError
        If a value is invalid.
    """

    images: Annotated[
        Path | str | None,
        Option(
            "Folder of image files, named by id: for pictures, and for sizes that neither side has.",
            metavar="FOLDER",
            group="Images",
        ),
    ] = None
    by_class: Annotated[
        bool,
        Option(
            "Also score each class of cells, and count confusions of classes.",
            flags=("--by-class",),
            group="Scores",
        ),
    ] = False
    folds: Annotated[
        Path | str | None,
        Option("CSV written by `cellprep split`: score the images of --fold.", group="Scores"),
    ] = None
    fold: Annotated[int | None, Option("The fold of --folds to score.", group="Scores")] = None
    common: Annotated[
        bool,
        Option("Score the images that both sides have; the others are counted and listed.", group="Scores"),
    ] = False
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    only: Only = ()
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        check_jobs(self.jobs)


@takes(SourceOptions, EvaluationOptions)
def evaluate(
    predicted: SourceLike, truth: SourceLike, options: EvaluationOptions | None = None, **keywords: Any
) -> EvaluationReport:
    r"""Score predicted cells against true ones.

    Parameters
    ----------
    predicted
        Predicted cells: a path, the result of `cellprep.open_prediction` or `cellprep.open_source`, a store, labels,
        (H, W) integers, or such labels by image id.
    truth
        True cells, in any of these forms. Overlapping cells are scored with all their pixels.
    options
        What to score, and how.
    **keywords
        Fields of `EvaluationOptions`, and how the truth is read (``format``, ``rle_order``, ``crowds``), by name.

    Returns
    -------
    EvaluationReport
        The scores. Images whose cells cannot be read are in its `failures`, and in no score.

    Raises
    ------
    UnpairedError
        If an image is only on one side and ``common`` is False.
    UsageError
        If a selected image is on neither side; or, for scores by class, if cells have no class, or predicted cells have
        a class that no true cell has.
    ImageFileError
        If the image folder cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv, found = Path(folder, "truth.csv"), Path(folder, "found.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 2 14 2,6,5\na,21 3,6,5")
    ...     _ = found.write_text("id,annotation,width,height\na,8 2 14 1,6,5")
    ...     report = evaluate(found, csv)
    >>> report.scores["overall"]["ap"]["0.75"], report.scores["overall"]["missed"]
    (0.5, 1)
    >>> evaluate([[0, 1], [0, 0]], [[0, 1], [2, 2]], jobs=1).scores["overall"]["missed"]
    1
    """
    truth, keywords = as_source(truth, keywords, "truth")
    predicted = as_prediction(predicted, truth)
    options = options_of(EvaluationOptions, options, keywords)
    only, left_out = choose_images(predicted, truth, options.only, options.folds, options.fold, common=options.common)
    options = replace(options, only=only)
    tasks = list(_tasks(predicted, truth, options))
    if options.by_class:
        refuse_cells_without_class(tasks, predicted, truth)
    outcomes = run_tasks(evaluate_image, tasks, done="scored", jobs=options.jobs, total=len(tasks), quiet=options.quiet)
    images = [
        ImageEvaluation(task.image_id, problem=found.problem) if isinstance(found, Failed) else found
        for task, found in in_order(outcomes, tasks)
    ]
    refuse_unknown_classes(images, predicted, truth)
    again = partial(_table_of_matches, predicted, truth, options)
    return EvaluationReport(predicted.description, truth.description, images, again, left_out)


def _table_of_matches(predicted: Source, truth: Source, options: EvaluationOptions) -> "DataFrame":
    return table_of_matches(list(_tasks(predicted, truth, options)), options.jobs)


@takes(SourceOptions, EvaluationOptions)
def draw_worst(
    report: EvaluationReport,
    predicted: SourceLike,
    truth: SourceLike,
    number: int,
    out: Path | str,
    options: EvaluationOptions | None = None,
    **keywords: Any,
) -> list[Path]:
    """Draw the images with the lowest scores, with outlines of found, missed, false, merged and split cells.

    Parameters
    ----------
    report
        The result of `evaluate` with the same `predicted`, `truth`, `options` and keywords.
    number
        Number of images to draw.
    out
        Folder for the pictures, created if missing: ``01-<id>.png`` is the worst.

    Returns
    -------
    list of Path
        The pictures, worst image first.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    OutputError
        If a picture cannot be drawn or written.
    """
    out = local_path(out)
    if not isinstance(number, Integral) or number < 1:
        raise UsageError(f"number is {described(number)}: give the number of images to draw, 1 or more")
    truth, keywords = as_source(truth, keywords, "truth")
    predicted = as_prediction(predicted, truth)
    options = options_of(EvaluationOptions, options, keywords)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write pictures to {out}: {error.strerror}") from error
    drawings = drawings_of_worst(report, predicted, truth, number, out, options)
    for drawing, drawn in run_tasks(
        draw_verdicts,
        drawings,
        done="drew",
        jobs=options.jobs,
        total=len(drawings),
        quiet=options.quiet,
        unit="picture",
    ):
        if isinstance(drawn, Failed):
            raise OutputError(f"cannot draw {drawing.path}: {drawn.problem}")
    return [drawing.path for drawing in drawings]


def drawings_of_worst(
    report: EvaluationReport, predicted: Source, truth: Source, number: int, out: Path, options: EvaluationOptions
) -> list[Drawing]:
    """Return the drawings of `draw_worst`, worst image first."""
    worst = report.worst(number)
    tasks = {task.image_id: task for task in _tasks(predicted, truth, replace(options, only=tuple(worst)))}
    scores = {image.image_id: score for image, score in report.scored}
    return [
        Drawing(tasks[image_id], scores[image_id], out / f"{rank:02}-{image_id}.png")
        for rank, image_id in enumerate(worst, start=1)
    ]


def refuse_pictures(out: Path | str) -> None:
    """Refuse a folder for pictures that is not empty, as old and new pictures would be mixed.

    Raises
    ------
    UsageError
        If the path is not a new or empty folder.
    MissingExtraError
        If Matplotlib is not installed.
    """
    require_matplotlib()
    out = local_path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"the folder for pictures {out} is not empty: choose a new one (--pictures)")


def _tasks(predicted: Source, truth: Source, options: EvaluationOptions) -> Iterator[EvaluationTask]:
    """Pair the images of both sides, in the order of the truth."""
    wanted = set(options.only)
    if unknown := sorted(wanted.difference(predicted.image_ids, truth.image_ids)):
        raise UsageError(f"image {unknown[0]!r} is neither in {predicted.name} nor in {truth.name}")
    ours = {record.image_id: record for record in _chosen(predicted.images(), wanted)}
    theirs = {record.image_id: record for record in _chosen(truth.images(), wanted)}
    if ours.keys() != theirs.keys():
        raise UnpairedError(
            [name for name in theirs if name not in ours], [name for name in ours if name not in theirs]
        )
    folder = None if options.images is None else ImageFolder(as_place(options.images))
    return (
        EvaluationTask(
            _read_as(ours[name], options),
            _read_as(_with_file(record, folder), options, options.planes),
            options.by_class,
        )
        for name, record in theirs.items()
    )


def _chosen(records: Iterable[ImageRecord | FaultyImage], wanted: set[str]) -> Iterator[ImageRecord | FaultyImage]:
    return (record for record in records if not wanted or record.image_id in wanted)


def _read_as(
    record: ImageRecord | FaultyImage, options: EvaluationOptions, planes: StackOptions | None = None
) -> ImageRecord | FaultyImage:
    return record if isinstance(record, FaultyImage) else record.read_as(options.orientation, planes=planes)


def _with_file(record: ImageRecord | FaultyImage, folder: ImageFolder | None) -> ImageRecord | FaultyImage:
    """Return a record with its image file, if there is one; scores do not need it."""
    if folder is None or isinstance(record, FaultyImage):
        return record
    try:
        return replace(record, pixels=folder.find(record.image_id, record.file_name))
    except ImageFileError:
        return record
