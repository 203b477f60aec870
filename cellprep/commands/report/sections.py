"""The sections of a page on a data set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from cellprep.commands.check import RULES, CheckReport, Finding
from cellprep.commands.report.charts import bars, histogram
from cellprep.commands.report.drawing import Picture
from cellprep.commands.report.html import Content, element, picture, table
from cellprep.commands.report.images import ImageFacts
from cellprep.core.scores import summarise_by_type
from cellprep.text.wording import printable

_OF_SCORES = ("kaggle_map", "pq", "aji", "truth", "predicted", "missed", "false", "merged", "split")
_THRESHOLDS = ("0.50", "0.70", "0.90")


def overview_section(description: str, facts: Sequence[ImageFacts], check: CheckReport) -> Element:
    """Count images, cells and what is suspicious, by type of cell."""
    types = sorted({name for image in facts for name in (image.cell_type, *image.cell_types)})
    annotations = {(found.image_id, found.row) for found in check.flagged if found.row is not None}
    suspicious = Counter(_type_of_row(check)[key] for key in annotations)
    images = Counter(image.cell_type for image in facts)
    areas = {name: _of_type(facts, name, "areas") for name in types}
    rows: list[list[str]] = [["images", *_counts(images[name] for name in types)]]
    rows.append(["annotations that can be read", *_counts(len(areas[name]) for name in types)])
    rows.append(["suspicious", *_counts(suspicious[name] for name in types)])
    for name, share in (("area, median", 50), ("area, 5 of 100 have less", 5), ("area, 5 of 100 have more", 95)):
        values = [float(np.percentile(areas[kind], share)) if areas[kind] else float("nan") for kind in types]
        everything = [area for kind in types for area in areas[kind]]
        last = float(np.percentile(everything, share)) if everything else float("nan")
        rows.append([f"{name}, pixels", *(_number(value) for value in [*values, last])])
    header = ["", *(printable(name) if name else "no type" for name in types), "all"]
    faulty = [element("li", f"{printable(image.image_id)}: {image.problem}") for image in facts if image.problem]
    return element(
        "section",
        element("h2", "Overview"),
        element("p", description, class_="note"),
        table("What there is, by type of cell", header, rows),
        element("div", element("p", "These images cannot be read, and are in no figure:"), element("ul", *faulty))
        if faulty
        else None,
        id="overview",
    )


def cells_section(facts: Sequence[ImageFacts]) -> Element:
    """Draw the cells' sizes and shapes, and how many an image has."""
    types = sorted({name for image in facts for name in image.cell_types})
    of_images = sorted({image.cell_type for image in facts if not image.problem})
    return element(
        "section",
        element("h2", "Cells"),
        element(
            "div",
            histogram(
                "Areas",
                "area in pixels, logarithmic",
                {n: _of_type(facts, n, "areas") for n in types},
                logarithmic=True,
            ),
            histogram(
                "Elongation",
                "length over width, logarithmic",
                {name: _of_type(facts, name, "elongations") for name in types},
                logarithmic=True,
            ),
            histogram(
                "Eccentricity",
                "0 of a circle, towards 1 of a line",
                {name: _of_type(facts, name, "eccentricities") for name in types},
            ),
            histogram(
                "Solidity",
                "share of the convex hull that the cell fills",
                {name: _of_type(facts, name, "solidities") for name in types},
            ),
            histogram(
                "Cells in an image",
                "cells",
                {
                    name: [len(image.areas) for image in facts if image.cell_type == name and not image.problem]
                    for name in of_images
                },
            ),
            class_="charts",
        ),
        id="cells",
    )


def targets_section(facts: Sequence[ImageFacts]) -> Element:
    """Draw what the targets are made of, and what is lost when they are decoded again."""
    good = [image for image in facts if not image.problem]
    classes = np.sum([image.classes for image in good], axis=0) if good else np.zeros(3)
    levels = np.sum([image.levels for image in good], axis=0) if good else np.zeros(1)
    often, once = sum(image.covered_often for image in good), sum(image.covered_once for image in good)
    covered = max(1, often + once)
    pixels = max(1, int(classes.sum()))
    walls = classes[1] / max(1, classes[0] + classes[1])
    scored = [image for image in good if image.score]
    return element(
        "section",
        element("h2", "Targets"),
        element(
            "p",
            f"Of the pixels that annotations cover, {100 * often / covered:.2f} % are claimed several times. Walls "
            f"between touching cells are {100 * walls:.2f} % of the cells' pixels.",
            class_="note",
        ),
        element(
            "div",
            bars("Shares of semseg", "channel", [n / pixels for n in classes], ["cell", "wall", "background"]),
            bars(
                "Shares of the energy levels",
                "level, of the cells' pixels",
                [n / max(1, levels.sum()) for n in levels],
                [str(level) for level in range(len(levels))],
            ),
            class_="charts",
        ),
        element(
            "p",
            "The targets, decoded again by the default decoder and scored against the labels: what is lost before any "
            "network, and what no network trained on them can exceed. Huge images are not decoded again.",
            class_="note",
        ),
        scores_table("Round trip", [image.score for image in scored if image.score], [i.cell_type for i in scored]),
        id="targets",
    )


def scores_table(caption: str, scores: Sequence[Any], cell_types: Sequence[str]) -> Element | None:
    """Return the scores overall and by type; nothing without any."""
    if not scores:
        return None
    found = summarise_by_type(scores, cell_types)
    columns: dict[str, Mapping[str, Any]] = {"all": found["overall"], **found["by_cell_type"]}
    rows = [[f"AP at IoU {at}", *(_score(part["ap"][at]) for part in columns.values())] for at in _THRESHOLDS]
    rows += [[name, *(_score(part[name]) for part in columns.values())] for name in _OF_SCORES]
    return table(caption, ["score", *map(printable, columns)], rows)


def findings_section(check: CheckReport, crops: Mapping[tuple[str, int], Picture], source: str) -> Element:
    """List everything that is suspicious, with pictures, to be sorted and filtered."""
    found = check.flagged
    header = [_head("picture"), _head("image", True), _head("row", True, number=True), _head("type", True)]
    header += [_head("rule", True), _head("value", True, number=True), _head("what is wrong")]
    body = [_finding(one, crops) for one in found]
    drawn = sum(finding.row is not None and (finding.image_id, finding.row) in crops for finding in found)
    rules = [name for name in RULES if any(one.rule == name for one in found)]
    types = sorted({one.cell_type for one in found})
    says = [element("li", element("b", name), f": {RULES[name].says}") for name in rules]
    return element(
        "section",
        element("h2", "Suspicious annotations"),
        element(
            "p",
            f"{len(found):,} findings, {drawn:,} of them drawn: the annotation's outline in orange, the one that it is "
            "compared to in blue, others in grey. Not all are flaws. ",
            element("code", f"cellprep check {source} --out flags.csv"),
            " writes them into a file, which ",
            element("code", "build-targets --exclude"),
            " takes.",
            class_="note",
        ),
        element("details", element("summary", "What the rules say"), element("ul", *says)) if says else None,
        _filters(
            "#findings tbody tr",
            _choice("rule", {name: f"{name} ({sum(one.rule == name for one in found):,})" for name in rules}),
            _choice("type", {name: printable(name) if name else "no type" for name in types}),
        ),
        element(
            "div",
            element("table", element("thead", element("tr", *header)), element("tbody", *body)),
            class_="wide",
            tabindex=0,
            role="region",
            aria_label="Findings",
        ),
        id="findings",
    )


def gallery_section(facts: Sequence[ImageFacts]) -> Element:
    """Show the images in small."""
    shown = [image for image in facts if image.thumbnail]
    types = sorted({image.cell_type for image in shown})
    items = []
    for image in shown:
        assert image.thumbnail is not None
        name = printable(image.image_id)
        kind = f"{printable(image.cell_type)}, " if image.cell_type else ""
        drawn = picture(image.thumbnail.content, f"{name}, outlined", image.thumbnail.width, image.thumbnail.height)
        words = element("figcaption", element("b", name), f" {kind}{len(image.areas):,} cells")
        items.append(element("li", element("figure", drawn, words), data_type=image.cell_type, data_image=name))
    return element(
        "section",
        element("h2", "Gallery"),
        element("p", f"{len(shown):,} of {len(facts):,} images, their cells outlined.", class_="note"),
        _filters(
            "#gallery li[data-image]", _choice("type", {name: printable(name) if name else "no type" for name in types})
        ),
        element("ul", *items, class_="gallery"),
        id="gallery",
    )


def _finding(one: Finding, crops: Mapping[tuple[str, int], Picture]) -> Element:
    name = printable(one.image_id)
    crop = crops.get((one.image_id, one.row)) if one.row is not None else None
    row, value = "" if one.row is None else str(one.row), "" if one.value is None else f"{one.value:.4g}"
    about = f"{one.rule}: row {row} of {name}"
    return element(
        "tr",
        element("td", picture(crop.content, about, crop.width, crop.height) if crop else None),
        element("td", name, class_="words"),
        element("td", row, data_value=row),
        element("td", printable(one.cell_type) if one.cell_type else "", class_="words"),
        element("td", one.rule, class_="words"),
        element("td", value, data_value=value),
        element("td", printable(one.note) if one.note else RULES[one.rule].says, class_="words"),
        data_rule=one.rule,
        data_type=one.cell_type,
        data_image=name,
    )


def _head(name: str, sorts: bool = False, number: bool = False) -> Element:
    inner: Content = element("button", name, type="button") if sorts else name
    kind = "number" if number else None
    return element("th", inner, scope="col", data_kind=kind, class_=None if number else "words")


def _choice(name: str, options: Mapping[str, str]) -> Element:
    choices = [element("option", words, value=f"={value}") for value, words in options.items()]
    return element("label", name, element("select", element("option", "all", value=""), *choices, name=name))


def _filters(items: str, *choices: Element) -> Element:
    search = element("label", "image", element("input", type="search", name="image", autocomplete="off"))
    told = element("output", aria_live="polite")
    return element(
        "form", *choices, search, element("button", "Show all", type="reset"), told, class_="filters", data_items=items
    )


def _type_of_row(check: CheckReport) -> dict[tuple[str, int | None], str]:
    return {(one.image_id, one.row): one.cell_type for one in check.flagged}


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


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:,.0f}"


def _score(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
