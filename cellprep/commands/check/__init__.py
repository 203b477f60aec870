"""Checking the quality of annotations, before anything is built from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cellprep.commands.check.findings import Finding, ImageFindings
from cellprep.commands.check.image import CheckTask, check_image, load_readable
from cellprep.commands.check.report import CheckReport
from cellprep.commands.check.rules import RULES, choose_rules, choose_thresholds, read_thresholds
from cellprep.commands.check.sizes import judge_sizes
from cellprep.core.cells import find_rule
from cellprep.errors import ImageFileError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.images.orientation import Orientation, check_orientation
from cellprep.formats.layouts.pairing import open_images
from cellprep.system.executor import Failed, check_jobs, run_tasks

__all__ = ["RULES", "CheckOptions", "CheckReport", "Finding", "check_source", "load_readable", "read_thresholds"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, and how strictly.

    Attributes
    ----------
    images
        Folder of image files to check with the annotations. Unless given, those are that the source itself has.
    overlap
        The rule by which overlaps will be resolved: it decides which cells are hidden.
    rules
        Names in `RULES` of what is flagged; all that are suspicious unless given.
    thresholds
        Per rule the value from which on it finds something, where it is not to be the rule's own.
    jobs
        Number of processes; -1 for one per core.
    quiet
        Whether to show no progress bar.
    orientation
        Whether image files are turned as their Orientation tag (EXIF) says: apply or ignore. Unless given, they are,
        but where their annotations have the size of the image as it is stored.
    scheduler
        Address of a Dask scheduler, whose workers check instead of `jobs` processes.

    Raises
    ------
    UsageError
        If a value is none that it can have.
    """

    images: Path | str | None = None
    overlap: str = "smaller-on-top"
    rules: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    jobs: int = -1
    quiet: bool = False
    scheduler: str | None = None
    orientation: Orientation | None = None

    def __post_init__(self) -> None:
        find_rule(self.overlap)
        choose_rules(self.rules)
        choose_thresholds(self.thresholds)
        check_jobs(self.jobs)
        check_orientation(self.orientation)


def check_source(source: Source, options: CheckOptions | None = None) -> CheckReport:
    r"""Look for flaws in annotations, and in the images that belong to them.

    Parameters
    ----------
    source
        From `cellprep.open_source`.
    options
        What to check, and how strictly.

    Returns
    -------
    CheckReport
        Everything that was found; nothing is raised for faulty images or annotations.

    Raises
    ------
    ImageFileError
        If the image folder cannot be read.
    UsageError
        If the source tells no sizes, and there is no image folder.

    Examples
    --------
    >>> import tempfile
    >>> from cellprep import open_source
    >>> rows = ["id,annotation,width,height", "a,8 2 14 2,6,5", "a,8 2 14 2,6,5", "a,31 1,6,5"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("\n".join(rows))
    ...     report = check_source(open_source(csv))
    >>> [(finding.row, finding.rule, finding.value) for finding in report.flagged]
    [(4, 'fault', None), (3, 'duplicate', 1.0), (2, 'overlap', 1.0), (3, 'overlap', 1.0), (2, 'hidden', None), ...]
    """
    options = options or CheckOptions()
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
    findings.sort(key=lambda finding: place[finding.image_id])  # which keeps the order of rules within an image
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
            record = found.read_as(options.orientation, keep_channels=False)  # noqa: PLW2901
        yield CheckTask(record, problem, options.overlap, thresholds)


def _failed(image_id: str, problem: str) -> ImageFindings:
    return ImageFindings(image_id, "", (Finding(image_id, "image-fault", note=problem),))
