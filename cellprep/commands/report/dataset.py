"""The report on a data set: annotations or a store, and predictions scored against it."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cellprep.commands.check import RULES, Finding, check_source
from cellprep.commands.evaluate import evaluate
from cellprep.commands.report import sections
from cellprep.commands.report.charts import Chart, lines
from cellprep.commands.report.drawing import Picture
from cellprep.commands.report.images import ImageFacts, ImageTask, look_at_image
from cellprep.commands.report.page import Table, choices, page, require_jinja
from cellprep.commands.report.scored import draw_lowest
from cellprep.commands.roundtrip.families import ALL, decoding_families
from cellprep.core.targets import Family
from cellprep.formats.annotations.source import Source
from cellprep.formats.cellprep_store import recipe_of
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.layouts.pairing import open_images, with_images
from cellprep.formats.readers import SourceLike, SourceOptions, as_prediction, as_source
from cellprep.system.executor import Failed, in_order, run_tasks
from cellprep.system.options import Jobs, Option, Quiet, documented, options_of, takes
from cellprep.system.output import check_place, write_whole
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.wording import count, printable

_MOST_THUMBNAILS = 600
_THUMBNAIL = 224  # pixels on the longer side of that many thumbnails; fewer may be larger
_LARGEST_THUMBNAIL = 896
_MOST_CROPS = 900
_MOST_DECODED = 12  # images in the comparison of methods


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of the report: what to show, and how."""

    images: Annotated[
        Path | str | None,
        Option(
            "Folder of image files, named by id, to show; by default the images of SOURCE itself.",
            metavar="FOLDER",
            group="Images",
        ),
    ] = None
    predicted: Annotated[
        Source | Path | str | None,
        Option(
            "Predictions to score against SOURCE, in a format of `evaluate`.", metavar="PREDICTED", group="Predictions"
        ),
    ] = None
    targets: Annotated[
        tuple[Family, ...],
        Option(
            "Segmentation methods to compare by decoding their own targets, as in roundtrip; by default all.",
            metavar="all|NAME,...",
            parse=decoding_families,
            group="Scores",
        ),
    ] = field(default_factory=lambda: decoding_families(ALL))
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    jobs: Jobs = -1
    quiet: Quiet = False


@dataclass(frozen=True, slots=True)
class DatasetReport(Report):
    """The outcome of writing a report.

    Attributes
    ----------
    path
        The HTML file.
    images
        Number of images in the data set.
    findings
        Number of suspicious findings.
    size
        Size of the file in bytes.
    failures
        The problem of each image that could not be shown.
    turned
        Notes on rotated images and ignored regions.
    rows
        The type, size and numbers of each image that is shown.
    """

    path: Path
    images: int
    findings: int
    size: int
    failures: dict[str, str]
    turned: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def notes(self) -> list[str]:
        """Return a line on the file."""
        found = count(self.findings, "suspicious finding")
        return [*self.turned, f"{self.path}: {count(self.images, 'image')}, {found}, {self.size / 1e6:.1f} MB"]

    def _tried(self) -> int:
        return self.images

    def _aftermath(self) -> str:
        return ", and are listed in the report"


@takes(SourceOptions, ReportOptions)
def report_dataset(
    source: SourceLike, out: Path | str, options: ReportOptions | None = None, **keywords: Any
) -> DatasetReport:
    r"""Write a report on a data set: one self-contained HTML file.

    Targets are computed with the recipe of the store, or with the default recipe for other sources. The same source
    gives the same bytes.

    Parameters
    ----------
    source
        The annotations: their path, the result of `cellprep.open_source`, a store, or arrays of labels by image id.
    out
        The HTML file to write.
    options
        What to show.
    **keywords
        Fields of `ReportOptions`, and how a source is read (``format``, ``rle_order``, ``crowds``), by name.

    Returns
    -------
    DatasetReport
        The outcome. Images that cannot be read are listed in it and in the file, not raised.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    OutputError
        If the file cannot be written.
    ImageFileError
        If the image folder cannot be read.
    UnpairedError
        If an image is only in the predictions or only in the source.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv = Path(folder, "train.csv")
    ...     _ = csv.write_text("id,annotation,width,height\na,8 2 14 2,6,5\na,8 2 14 2,6,5")
    ...     report = report_dataset(csv, Path(folder, "report.html"))
    >>> report.images, report.findings, report.failures
    (1, 5, {})
    """
    source, keywords = as_source(source, keywords)
    options = options_of(ReportOptions, options, keywords)
    out = local_path(out)
    check_place(out)
    require_jinja()
    predicted = None if options.predicted is None else as_prediction(options.predicted, source)
    shared = {name: getattr(options, name) for name in ("images", "orientation", "planes", "jobs", "quiet")}
    check = check_source(source, **shared)
    drawn = _chosen(check.flagged)
    tasks = list(_tasks(source, options, drawn))
    outcomes = run_tasks(look_at_image, tasks, done="drew", jobs=options.jobs, total=len(tasks), quiet=options.quiet)
    facts = [
        ImageFacts(task.image_id, problem=found.problem) if isinstance(found, Failed) else found
        for task, found in in_order(outcomes, tasks)
    ]
    crops = {(image.image_id, row): crop for image in facts for row, crop in image.crops.items()}
    rules = Counter(one.rule for one in check.flagged)
    entries = sections.entries(check, crops)
    gallery = [image for image in facts if image.thumbnail]
    text = page(
        "dataset.html",
        f"{printable(source.name)}: cells and targets",
        source=source.name,
        description=source.description,
        images=len(facts),
        faulty=[image for image in facts if image.problem],
        overview=sections.overview(facts, check),
        scores=_scores(source, predicted, shared) if predicted else None,
        cells=sections.cells(facts),
        targets=sections.targets(facts),
        methods=sections.methods(facts),
        findings=len(check.flagged),
        entries=entries,
        key=sections.key_of(entries),
        rules={name: RULES[name].says for name in RULES if name in rules},
        rule_choices={name: f"{name} ({rules[name]:,})" for name in RULES if name in rules},
        finding_types=choices(one.cell_type for one in check.flagged),
        gallery=gallery,
        gallery_types=choices(image.cell_type for image in gallery),
    )
    write_whole(out, text)
    failures = {image.image_id: image.problem for image in facts if image.problem}
    rows = tuple(_row(image) for image in facts if not image.problem)
    return DatasetReport(out, len(facts), len(check.flagged), out.stat().st_size, failures, tuple(check.notes()), rows)


def _row(image: ImageFacts) -> dict[str, Any]:
    return {
        "image": image.image_id,
        "cell_type": image.cell_type,
        "cells": len(image.areas),
        "height": image.shape[0],
        "width": image.shape[1],
        "covered_once": image.covered_once,
        "covered_often": image.covered_often,
    }


def _chosen(flagged: Sequence[Finding]) -> dict[str, dict[int, int | None]]:
    """Choose the annotations to draw: the worst of each rule, as many as there is space for."""
    by_rule: dict[str, list[Finding]] = {}
    for one in flagged:
        if one.row is not None:
            by_rule.setdefault(one.rule, []).append(one)
    chosen: dict[str, dict[int, int | None]] = {}
    room = _MOST_CROPS
    for left, found in zip(range(len(by_rule), 0, -1), sorted(by_rule.values(), key=len), strict=True):
        worst = sorted(found, key=lambda one: -(one.value or 0))[: room // left]
        room -= len(worst)
        for one in worst:
            assert one.row is not None
            rows = chosen.setdefault(one.image_id, {})
            if rows.get(one.row) is None:
                rows[one.row] = one.partner
    return chosen


def _tasks(source: Source, options: ReportOptions, drawn: dict[str, dict[int, int | None]]) -> Iterator[ImageTask]:
    recipe = recipe_of(source)
    records = list(with_images(source, open_images(source, options.images), options.orientation, options.planes))
    shown = _spread(len(records), _MOST_THUMBNAILS)
    decoded = _spread(len(records), _MOST_DECODED)
    side = min(_LARGEST_THUMBNAIL, int(_THUMBNAIL * math.sqrt(_MOST_THUMBNAILS / max(1, len(shown)))))
    for number, record in enumerate(records):
        rows = tuple(drawn.get(record.image_id, {}).items())
        yield ImageTask(
            record, recipe, rows, side if number in shown else 0, options.targets if number in decoded else ()
        )


def _spread(number: int, most: int) -> set[int]:
    """Return at most `most` evenly spaced indices below `number`."""
    chosen = min(number, most)
    return {place * number // chosen for place in range(chosen)}


class _Scores(NamedTuple):
    """The section on predictions: scores, failures, and pictures of the images with the lowest scores."""

    description: str
    table: Table | None
    failures: dict[str, str]
    charts: list[Chart]
    worst: Sequence[tuple[str, Picture]]


def _scores(source: Source, predicted: Source, shared: dict[str, Any]) -> _Scores:
    """Score predictions, and draw the images with the lowest scores."""
    report = evaluate(predicted, source, **shared)
    scored = report.scored
    worst = draw_lowest(report, predicted, source, shared)
    overall = report.scores["overall"]
    charts = []
    if overall:
        curves = {"AP": list(overall["ap"].values()), "F1": list(overall["f1"].values())}
        charts = [lines("AP and F1", "IoU", [float(at) for at in overall["ap"]], curves)]
    table = sections.scores_table("Scores", [score for _, score in scored], [image.cell_type for image, _ in scored])
    return _Scores(predicted.description, table, report.failures, charts, worst)
