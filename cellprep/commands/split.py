"""Folds for cross-validation of an annotation source."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from cellprep.core.folds import assign_folds, check_folds, strata_of
from cellprep.errors import SourceError, UsageError
from cellprep.formats.annotations.partial import Ignored, ignored_notes, total
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.layouts.pairing import open_images, with_images
from cellprep.formats.readers import SourceLike, SourceOptions, as_source
from cellprep.system.executor import Failed, check_jobs, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented, options_of, take_values, takes
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.tables import text_table
from cellprep.text.wording import capped, count, printable


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Options of splitting.

    Raises
    ------
    UsageError
        If a value is invalid.
    """

    folds: Annotated[int, Option("Number of folds, at least 2.", group="Output")] = 5
    groups: Annotated[
        Sequence[str],
        Option(
            "Column of SOURCE: images with the same values stay in the same fold; repeatable.",
            flags=("--group",),
            metavar="COLUMN",
            group="Output",
        ),
    ] = ()
    images: Annotated[
        Path | str | None,
        Option("Folder of image files, if SOURCE does not contain their sizes.", metavar="FOLDER", group="Images"),
    ] = None
    seed: Annotated[int, Option("Random seed, 0 or more.", group="Output")] = 0
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    keep_annotated_twice: Annotated[
        bool, Option("Keep images in which most cell pixels are annotated twice.", group="Output")
    ] = False
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        check_folds(self.folds)
        check_jobs(self.jobs)
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} is negative: give 0 or more")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts about one image that a split depends on.

    Attributes
    ----------
    image_id
        The image.
    cell_type
        The type of most of its cells; an empty string if the source has no types.
    cells
        Number of its cells.
    annotated_twice
        Whether more of its pixels are covered by several annotations than by exactly one.
    problem
        Why it cannot be read, if so.
    ignored
        How much of it is ignored, if the source marks regions to ignore.
    """

    image_id: str
    cell_type: str = ""
    cells: int = 0
    annotated_twice: bool = False
    problem: str = ""
    ignored: Ignored | None = None


@dataclass
class Split(Report):
    """The fold of every image.

    Attributes
    ----------
    images
        The images in folds, in the source's order.
    folds
        The fold of each of them, from 0.
    grouped_by
        The columns whose values group images.
    groups
        Number of groups of images.
    ungrouped
        Number of images without values in these columns.
    annotated_twice
        Ids of the images annotated twice.
    kept_annotated_twice
        Whether these are in a fold.
    failures
        The problem of each image that could not be read.
    """

    images: list[ImageFacts]
    folds: list[int]
    grouped_by: tuple[str, ...] = ()
    groups: int = 0
    ungrouped: int = 0
    annotated_twice: list[str] = field(default_factory=list)
    kept_annotated_twice: bool = False
    failures: dict[str, str] = field(default_factory=dict)

    def _facts(self) -> Iterator[tuple[str, str]]:
        sizes = Counter(self.folds)
        yield "images of each fold", ", ".join(f"{sizes[fold]:,}" for fold in sorted(sizes))
        yield "groups", f"{self.groups:,}"

    def to_csv(self) -> str:
        """Return a CSV with the columns image, fold, cell_type, cells."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["image", "fold", "cell_type", "cells"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The fold, type and number of cells of each image in a fold."""
        return [
            {"image": image.image_id, "fold": fold, "cell_type": image.cell_type, "cells": image.cells}
            for image, fold in zip(self.images, self.folds, strict=True)
        ]

    def notes(self) -> list[str]:
        """Return lines on the content of each fold, and on images left out."""
        lines = []
        if self.annotated_twice:
            what = "kept" if self.kept_annotated_twice else "left out; --keep-annotated-twice keeps them"
            lines.append(f"annotated twice: more pixels are covered by several annotations than by one ({what}):")
            lines += capped(map(printable, self.annotated_twice), "image", "; list all with cellprep check")
        if self.grouped_by:
            alone = (
                f"; {count(self.ungrouped, 'image')} without a value, each in its own group" if self.ungrouped else ""
            )
            lines.append(f"{count(self.groups, 'group')} by {', '.join(self.grouped_by)}{alone}")
        return [*lines, *ignored_notes(total(image.ignored for image in self.images)), *self._table()]

    def _tried(self) -> int:
        return super()._tried() + len([] if self.kept_annotated_twice else self.annotated_twice)

    def _aftermath(self) -> str:
        return ", and are not in a fold"

    def _table(self) -> list[str]:
        """Return a table of the numbers of images, cells, and images of each type by fold, and their spread."""
        types = sorted({image.cell_type for image in self.images})
        rows = []
        for fold in range(max(self.folds) + 1):
            images = [image for image, place in zip(self.images, self.folds, strict=True) if place == fold]
            by_type = Counter(image.cell_type for image in images)
            rows.append([len(images), sum(image.cells for image in images), *(by_type[name] for name in types)])
        spread = [max(column) - min(column) for column in zip(*rows, strict=True)]
        header = ["fold", "images", "cells", *(printable(name) if name else "(no type)" for name in types)]
        named = [*((str(fold), row) for fold, row in enumerate(rows)), ("spread", spread)]
        return text_table(header, [[name, *(f"{number:,}" for number in row)] for name, row in named])


@takes(SourceOptions, SplitOptions)
def split_source(
    source: SourceLike, out: Path | str | None = None, options: SplitOptions | None = None, **keywords: Any
) -> Split:
    r"""Split the images of a source into folds that are balanced in cell types and in numbers of cells.

    Images that cannot be read are left out and listed.

    Parameters
    ----------
    source
        The annotations: their path, the result of `cellprep.open_source`, a store, or arrays of labels by image id.
    out
        CSV to write; by default none.
    options
        Options of splitting.
    **keywords
        Fields of `SplitOptions`, and how a source is read (``format``, ``rle_order``, ``crowds``), by name.

    Returns
    -------
    Split
        The folds. Images that could not be read are reported, not raised.

    Raises
    ------
    UsageError
        If there are more folds than groups of images, or a column to group by is missing.
    SourceError
        If a column has different values for one image, or if too few images are left after failures.
    OutputError
        If `out` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> rows = ["id,annotation,width,height,plate", "a,8 2 14 2,6,5,P1", "b,,6,5,P2", "c,29 2,6,5,P1"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("\n".join(rows))
    ...     split = split_source(csv, folds=2, groups="plate")
    >>> print(split.to_csv(), end="")
    image,fold,cell_type,cells
    a,0,,1
    b,1,,0
    c,0,,1
    """
    path = None if out is None else local_path(out)
    source, keywords = as_source(source, keywords)
    options = options_of(SplitOptions, options, keywords)
    columns = [source.values(column) for column in options.groups]
    measured = _measure_all(source, options)
    twice = [image.image_id for image in measured if image.annotated_twice]
    images = [
        image for image in measured if not image.problem and (options.keep_annotated_twice or not image.annotated_twice)
    ]
    groups, ungrouped = _groups_of(images, columns)
    if len(images) < len(measured):
        _refuse_too_few(len(set(groups)), measured, options)
    split = Split(
        images=images,
        folds=_folds_of(images, groups, options),
        grouped_by=tuple(options.groups),
        groups=len(set(groups)),
        ungrouped=ungrouped,
        annotated_twice=twice,
        kept_annotated_twice=options.keep_annotated_twice,
        failures={image.image_id: image.problem for image in measured if image.problem},
    )
    if path is not None:
        write_whole(path, split.to_csv())
    return split


def _refuse_too_few(groups: int, measured: Sequence[ImageFacts], options: SplitOptions) -> None:
    """Raise an error with the images left out if too few remain, as `assign_folds` does not know about them."""
    if groups >= options.folds:
        return
    twice = sum(image.annotated_twice for image in measured)
    why = [f"{twice} annotated twice"] if twice and not options.keep_annotated_twice else []
    if failed := [image for image in measured if image.problem]:
        why.append(f"{len(failed)} failed, the first one {failed[0].image_id!r}: {failed[0].problem}")
    message = (
        f"{options.folds} folds need {options.folds} groups of images, but only {groups} are left ({'; '.join(why)})"
    )
    raise (SourceError if failed else UsageError)(message)


def _measure_all(source: Source, options: SplitOptions) -> list[ImageFacts]:
    """Measure every image, in the source's order."""
    found = {}
    images = with_images(
        source, open_images(source, options.images), options.orientation, options.planes, for_sizes=True
    )
    for task, facts in run_tasks(
        _measure, images, done="read", jobs=options.jobs, total=len(source.image_ids), quiet=options.quiet
    ):
        found[task.image_id] = ImageFacts(task.image_id, problem=facts.problem) if isinstance(facts, Failed) else facts
    return [found[image_id] for image_id in source.image_ids]


def _measure(image: ImageRecord | FaultyImage) -> ImageFacts | Failed:
    """Determine the facts that a split depends on."""
    if isinstance(image, FaultyImage):
        return Failed(image.problem)
    annotations = image.load(image.pixels.decode().shape[-2:] if image.pixels and image.needs_shape else None)
    coverage = annotations.runs.coverage()
    twice = np.count_nonzero(coverage > 1) > np.count_nonzero(coverage == 1)
    return ImageFacts(
        image.image_id, annotations.cell_type, len(annotations.runs), bool(twice), ignored=annotations.ignored
    )


def _groups_of(images: Sequence[ImageFacts], columns: Sequence[dict[str, str]]) -> tuple[list[int], int]:
    """Return the group of each image as a number, and the number of images that are alone in their group."""
    keys: list[tuple[str, ...]] = []
    ungrouped = 0
    for image in images:
        values = tuple(column.get(image.image_id, "") for column in columns)
        ungrouped += not any(values)
        keys.append(values if any(values) else (image.image_id, *values, ""))  # longer than the key of any group
    numbers: dict[tuple[str, ...], int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys], ungrouped


def _folds_of(images: Sequence[ImageFacts], groups: Sequence[int], options: SplitOptions) -> list[int]:
    types = np.unique([image.cell_type for image in images], return_inverse=True)[1]
    cells = np.array([image.cells for image in images], np.int64)
    classes = np.stack([strata_of(types, cells, options.folds), types], axis=1)
    folds: list[int] = assign_folds(classes, np.array(groups, np.int64), options.folds, options.seed).tolist()
    return folds
