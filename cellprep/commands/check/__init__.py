"""Quality checks of annotations, before targets are built from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from cellprep.commands.check.findings import Finding, ImageFindings
from cellprep.commands.check.image import CheckTask, check_image, load_readable
from cellprep.commands.check.report import CheckReport
from cellprep.commands.check.rules import RULES, choose_rules, choose_thresholds, read_thresholds
from cellprep.commands.check.sizes import judge_sizes
from cellprep.core.cells import Overlap
from cellprep.errors import ImageFileError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.layouts.pairing import open_images
from cellprep.formats.readers import SourceLike, SourceOptions, as_source
from cellprep.system.executor import Failed, check_jobs, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, Scheduler, documented, options_of, take_values, takes

__all__ = ["RULES", "CheckOptions", "CheckReport", "Finding", "check_source", "load_readable", "read_thresholds"]


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Options of checking: what to check, and how strictly.

    Raises
    ------
    UsageError
        If a value is invalid.
    """

    images: Annotated[
        Path | str | None,
        Option(
            "Folder or URL of image files, named by id, to check as well; by default those of SOURCE itself.",
            metavar="FOLDER",
            group="Images",
        ),
    ] = None
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    overlap: Overlap = "smaller-on-top"
    rules: Annotated[
        Sequence[str],
        Option(
            "Rule whose findings are flagged, repeatable; by default all except edge and unannotated",
            RULES,
            ("--rule",),
            "RULE",
            group="Rules",
        ),
    ] = ()
    thresholds: Annotated[
        Mapping[str, float],
        Option(
            "Threshold of a rule; repeatable.",
            flags=("--threshold",),
            metavar="RULE=VALUE",
            parse=read_thresholds,
            group="Rules",
        ),
    ] = field(default_factory=dict)
    jobs: Jobs = -1
    scheduler: Scheduler = None
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        choose_rules(self.rules)
        choose_thresholds(self.thresholds)
        check_jobs(self.jobs)


@takes(SourceOptions, CheckOptions)
def check_source(source: SourceLike, options: CheckOptions | None = None, **keywords: Any) -> CheckReport:
    r"""Find flaws in annotations and in their images.

    Parameters
    ----------
    source
        The annotations: their path, the result of `cellprep.open_source`, a store, or arrays of labels by image id.
    options
        What to check, and how strictly.
    **keywords
        Fields of `CheckOptions`, and how a source is read (``format``, ``rle_order``, ``crowds``), by name.

    Returns
    -------
    CheckReport
        All findings. Invalid images and annotations are findings, and raise no error.

    Raises
    ------
    ImageFileError
        If the image folder cannot be read.
    UsageError
        If the source has no sizes, and there is no image folder.

    Examples
    --------
    >>> import tempfile
    >>> rows = ["id,annotation,width,height", "a,8 2 14 2,6,5", "a,8 2 14 2,6,5", "a,31 1,6,5"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("\n".join(rows))
    ...     report = check_source(csv)
    >>> [(finding.row, finding.rule, finding.value) for finding in report.flagged]
    [(4, 'fault', None), (3, 'duplicate', 1.0), (2, 'overlap', 1.0), (3, 'overlap', 1.0), (2, 'hidden', None), ...]
    """
    source, keywords = as_source(source, keywords)
    options = options_of(CheckOptions, options, keywords)
    thresholds = choose_thresholds(options.thresholds)
    folder = open_images(source, options.images)
    ids = source.image_ids
    place = {image_id: k for k, image_id in enumerate(ids)}
    tasks = _tasks(source, folder, options, thresholds)
    images = [
        _failed(task.image_id, found.problem) if isinstance(found, Failed) else found
        for task, found in run_tasks(
            check_image,
            tasks,
            done="checked",
            jobs=options.jobs,
            total=len(ids),
            quiet=options.quiet,
            scheduler=options.scheduler,
        )
    ]
    images.sort(key=lambda image: place[image.image_id])
    findings = [finding for image in images for finding in image.findings]
    findings += judge_sizes(images, thresholds)
    findings.sort(key=lambda finding: place[finding.image_id])  # keeps the order of rules within an image
    unannotated = folder.others(ids) if folder else source.unannotated
    findings += [Finding(name, "unannotated") for name in unannotated]
    return CheckReport(source.description, images, findings, choose_rules(options.rules), thresholds)


def _tasks(
    source: Source, folder: ImageFolder | None, options: CheckOptions, thresholds: dict[str, float]
) -> Iterator[CheckTask]:
    for record in source.images():
        problem = ""
        if not isinstance(record, FaultyImage):
            try:
                found = replace(record, pixels=folder.find(record.image_id, record.file_name)) if folder else record
            except ImageFileError as error:
                found, problem = record, str(error)
            record = found.read_as(options.orientation, planes=options.planes)  # noqa: PLW2901
        yield CheckTask(record, problem, options.overlap, thresholds)


def _failed(image_id: str, problem: str) -> ImageFindings:
    return ImageFindings(image_id, "", (Finding(image_id, "image-fault", note=problem),))
