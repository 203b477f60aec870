"""The sections of a report on a data set, as values for its template."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cellprep.commands.check import CheckReport
from cellprep.commands.report.charts import Chart, bars, histogram
from cellprep.commands.report.drawing import Picture
from cellprep.commands.report.images import ImageFacts
from cellprep.commands.report.page import Table, choices
from cellprep.core.scores import summarise_by_type
from cellprep.text.wording import printable

_OF_SCORES = ("kaggle_map", "pq", "aji", "truth", "predicted", "missed", "false", "merged", "split")
_ERRORS = ("missed", "false", "merged", "split")
_THRESHOLDS = ("0.50", "0.70", "0.90")


class Targets(NamedTuple):
    """The section on targets: shares in percent, charts, and the scores of decoding the targets."""

    covered_often: float
    walls: float
    charts: list[Chart]
    scores: Table | None


class Methods(NamedTuple):
    """The section that compares methods: the number of decoded images, a chart and a table."""

    images: int
    chart: Chart
    scores: Table


class FindingLine(NamedTuple):
    """A finding as text for the report, and with its values for flags.csv."""

    rule: str
    value: str
    threshold: str
    note: str
    words: str


class Entry(NamedTuple):
    """All findings on an annotation, or on an image as a whole, for which ``row`` is empty.

    ``key`` contains the image's id and the row as JSON, so that the page can return ids with any characters.
    """

    key: str
    image: str
    row: str
    cell_type: str
    findings: list[FindingLine]
    picture: Picture | None

    @property
    def about(self) -> str:
        """Name of the annotation or image."""
        return f"{self.image}, row {self.row}" if self.row else f"{self.image}, the whole image"


def overview(facts: Sequence[ImageFacts], check: CheckReport) -> Table:
    """Return a table of the numbers of images, cells and suspicious annotations by cell type."""
    types = sorted({name for image in facts for name in (image.cell_type, *image.cell_types)})
    type_of_row = {(one.image_id, one.row): one.cell_type for one in check.flagged if one.row is not None}
    suspicious = Counter(type_of_row.values())
    images = Counter(image.cell_type for image in facts)
    areas = {name: _of_type(facts, name, "areas") for name in types}
    rows: list[list[str]] = [["images", *_counts(images[name] for name in types)]]
    rows.append(["readable annotations", *_counts(len(areas[name]) for name in types)])
    rows.append(["suspicious annotations", *_counts(suspicious[name] for name in types)])
    columns = [*areas.values(), [area for found in areas.values() for area in found]]
    sides = {image.pixel_size for image in check.images}
    side = sides.pop() if len(sides) == 1 else None  # no micrometres if images differ in pixel size
    for unit, size, digits in (("px", 1.0, ",.0f"), *([("µm²", side**2, ",.4g")] if side else [])):
        for name, share in (("median", 50), ("5th percentile", 5), ("95th percentile", 95)):
            values = (f"{size * np.percentile(found, share):{digits}}" if found else "-" for found in columns)
            rows.append([f"area, {name} ({unit})", *values])
    return Table("Contents by cell type", ["", *choices(types).values(), "all"], rows)


def cells(facts: Sequence[ImageFacts]) -> list[Chart]:
    """Draw the sizes and shapes of cells, and the number of cells per image."""
    types = sorted({name for image in facts for name in image.cell_types})
    numbers: dict[str, list[float]] = {name: [] for name in sorted({image.cell_type for image in facts})}
    for image in facts:
        if not image.problem:
            numbers[image.cell_type].append(len(image.areas))
    areas, elongations, eccentricities, solidities = (
        {name: _of_type(facts, name, of) for name in types}
        for of in ("areas", "elongations", "eccentricities", "solidities")
    )
    return [
        histogram("Areas", "area (px), logarithmic scale", areas, logarithmic=True),
        histogram("Elongation", "length / width, logarithmic scale", elongations, logarithmic=True),
        histogram("Eccentricity", "0 for a circle, close to 1 for a line", eccentricities),
        histogram("Solidity", "area / area of the convex hull", solidities),
        histogram("Cells per image", "cells", numbers),
    ]


def targets(facts: Sequence[ImageFacts]) -> Targets:
    """Draw the classes and levels of the targets, and score the targets after decoding."""
    good = [image for image in facts if not image.problem]
    classes = np.sum([image.classes for image in good], axis=0) if good else np.zeros(3)
    levels = np.sum([image.levels for image in good], axis=0) if good else np.zeros(1)
    often, once = sum(image.covered_often for image in good), sum(image.covered_once for image in good)
    scores = [(image.score, image.cell_type) for image in good if image.score]
    return Targets(
        covered_often=100 * often / max(1, often + once),
        walls=100 * classes[1] / max(1, classes[0] + classes[1]),
        charts=[
            bars("Shares of semseg", "channel", classes / max(1, classes.sum()), ["cell", "wall", "background"]),
            bars(
                "Shares of the energy levels",
                "level (share of cell pixels)",
                levels / max(1, levels.sum()),
                [str(level) for level in range(len(levels))],
            ),
        ],
        scores=scores_table("Round trip", *zip(*scores, strict=True)) if scores else None,
    )


def methods(facts: Sequence[ImageFacts]) -> Methods | None:
    """Compare the scores of each method's targets after decoding; return None if there are no methods."""
    scored = [image for image in facts if image.by_family]
    if not scored:
        return None
    types = [image.cell_type for image in scored]
    found = {
        name: summarise_by_type([image.by_family[name] for image in scored], types) for name in scored[0].by_family
    }
    by_type = list(next(iter(found.values()))["by_cell_type"])
    rows = [
        [name, _score(its["overall"]["kaggle_map"])]
        + [_score(its["by_cell_type"][kind]["kaggle_map"]) for kind in by_type]
        + [_score(its["overall"][count]) for count in _ERRORS]
        for name, its in found.items()
    ]
    shares = [its["overall"]["kaggle_map"] for its in found.values()]
    title = "Which method can express your cells?"
    return Methods(
        images=len(scored),
        chart=bars(title, "kaggle_map of the decoded targets", shares, list(found)),
        scores=Table(title, ["kaggle_map", "all", *map(printable, by_type), *_ERRORS], rows),
    )


def scores_table(caption: str, scores: Sequence[Any], cell_types: Sequence[str]) -> Table | None:
    """Return a table of the scores overall and by type; None if there are no scores."""
    if not scores:
        return None
    found = summarise_by_type(scores, cell_types)
    columns: dict[str, Mapping[str, Any]] = {"all": found["overall"], **found["by_cell_type"]}
    rows = [[f"AP at IoU {at}", *(_score(part["ap"][at]) for part in columns.values())] for at in _THRESHOLDS]
    rows += [[name, *(_score(part[name]) for part in columns.values())] for name in _OF_SCORES]
    return Table(caption, ["score", *map(printable, columns)], rows)


def entries(check: CheckReport, crops: Mapping[tuple[str, int], Picture]) -> list[Entry]:
    """Return all suspicious annotations and images with pictures, worst first."""
    return [
        Entry(
            key=json.dumps([one.image_id, one.row]),
            image=printable(one.image_id),
            row="" if one.row is None else str(one.row),
            cell_type=one.cell_type,
            findings=[
                FindingLine(*flag[3:], words=words)
                for flag, words in zip(map(check.flag, one.findings), one.words, strict=True)
            ],
            picture=None if one.row is None else crops.get((one.image_id, one.row)),
        )
        for one in check.suspects
    ]


def key_of(shown: Sequence[Entry]) -> str:
    """Return a key for the list of findings, so that a browser restores only choices for the same findings."""
    return hashlib.sha256(json.dumps([[one.key, one.findings] for one in shown]).encode()).hexdigest()


def _of_type(facts: Sequence[ImageFacts], cell_type: str, values: str) -> list[float]:
    return [
        value
        for image in facts
        for value, name in zip(getattr(image, values), image.cell_types, strict=True)
        if name == cell_type
    ]


def _counts(numbers: Iterable[int]) -> list[str]:
    found = list(numbers)
    return [f"{number:,}" for number in [*found, sum(found)]]


def _score(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
