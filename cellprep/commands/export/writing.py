"""Writing of many images in a format, for `export` and `convert`."""

import shutil
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cellprep.errors import OutputError, StoreWriteError
from cellprep.formats.annotations.content import Content, Listed, Whole
from cellprep.formats.annotations.partial import Ignored
from cellprep.formats.writers import Exporter, OneFile
from cellprep.system.aside import publish, written_aside
from cellprep.system.executor import Failed, in_order, run_tasks
from cellprep.system.output import write_files


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingTask(ABC):
    """One image to write: small enough to send to another process.

    Attributes
    ----------
    exporter
        The format.
    types
        The cell types of all images, if the format needs them.
    scratch
        Temporary folder for its files, which are moved into place when all of them are written.
    """

    exporter: Exporter
    types: tuple[str, ...] = ()
    scratch: Path = Path()

    @property
    @abstractmethod
    def image_id(self) -> str:
        """The image's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The outcome of writing an image.

    Attributes
    ----------
    listed
        The image's entry in files that list images.
    part
        The image's part of the file, for formats with one file for all images.
    files
        The paths of its files in their folder.
    cells
        Number of cells written.
    hidden
        Source rows of the cells not written, as they have no pixels.
    losses
        Number of cells with a feature that the format cannot hold, by its name in `FEATURES`; number of images for
        regions to ignore.
    joined
        Number of cells whose outlines were joined by lines of zero width, by the feature that required it.
    ignored
        How much of the image is ignored, if the source marks regions to ignore.
    """

    listed: Listed
    part: Any = None
    files: tuple[str, ...] = ()
    cells: int = 0
    hidden: tuple[int, ...] = ()
    losses: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    ignored: Ignored | None = None


class WritingReport(Protocol):
    """A report that counts images."""

    out: str
    exporter: Exporter
    images: int

    def add(self, image_id: str, outcome: Any) -> None:
        """Count one image."""


Task = TypeVar("Task", bound=WritingTask)


def write_content(task: WritingTask, content: Content, file_name: str = "") -> dict[str, Any]:
    """Write one image, and return the fields of `Written`.

    Raises
    ------
    StoreWriteError
        If the disk is full.
    """
    listed = Listed(content.image_id, content.shape, file_name, content.fold)
    part = task.exporter.encode(content)
    if isinstance(task.exporter, OneFile):
        return {"listed": listed, "part": part}
    try:
        write_files(task.scratch, part)
    except OSError as error:
        raise StoreWriteError(task.scratch, error.strerror or str(error)) from error
    return {"listed": listed, "files": tuple(part)}


def write_images(
    work: Callable[[Task], Written | Failed],
    tasks: Iterable[Task],
    whole: Whole,
    report: WritingReport,
    *,
    total: int,
    done: str,
    jobs: int,
    quiet: bool,
) -> None:
    """Write images to a temporary folder, and move it into place when complete; write nothing if all images fail.

    Parameters
    ----------
    work
        The worker's function, which writes one image by `write_content`.
    tasks
        The images in their order; only those in progress are kept in memory.
    whole
        Facts about all images.
    report
        The report that counts every image, with the path to write (`out`) and the format (`exporter`).
    total
        Number of images.
    done
        The verb for the progress bar, in the past tense.
    jobs, quiet
        As in `run_tasks`.

    Raises
    ------
    OutputError
        If the output path exists, or the disk is full.
    """
    exporter, out = report.exporter, Path(report.out)
    with written_aside(out) as aside:
        waiting: deque[Task] = deque()
        outcomes = run_tasks(work, _noted(tasks, aside, waiting), done=done, jobs=jobs, total=total, quiet=quiet)
        with closing(outcomes):
            written = _counted(in_order(outcomes, waiting), report, aside)
            if isinstance(exporter, OneFile):
                with aside.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(exporter.join(whole, ((image.listed, image.part) for image in written)))
            else:
                aside.mkdir()
                listed = [image.listed for image in written]
                if listed:
                    write_files(aside, exporter.finish(whole, listed))
        if report.images:
            publish(aside, out)


def _noted(tasks: Iterable[Task], aside: Path, waiting: deque[Task]) -> Iterator[Task]:
    """Yield tasks with a folder for their files, and record those in progress."""
    for number, task in enumerate(tasks):
        waiting.append(replace(task, scratch=aside / f".{number}"))
        yield waiting[-1]


def _counted(
    outcomes: Iterator[tuple[Task, Written | Failed]], report: WritingReport, aside: Path
) -> Iterator[Written]:
    """Count each image, move its files into place, and yield those that could be written."""
    for task, outcome in outcomes:
        found = outcome if isinstance(outcome, Failed) else _placed(outcome, task.scratch, aside)
        shutil.rmtree(task.scratch, ignore_errors=True)  # a worker that was killed may have written some of its files
        report.add(task.image_id, found)
        if not isinstance(found, Failed):
            yield found
        elif found.unwritable:
            raise OutputError(f"cannot write {report.out}: {found.problem}")


def _placed(written: Written, scratch: Path, aside: Path) -> Written | Failed:
    """Move the files of an image into place; fail if a file name is taken by another image."""
    if taken := [name for name in written.files if (aside / name).exists()]:
        return Failed(f"its file name {taken[0]!r} is taken by another image: rename one of the images")
    for name in written.files:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).rename(aside / name)
    return written
