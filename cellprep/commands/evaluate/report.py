"""Scores of a set of images as a table, JSON, and a CSV with a row per image."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.commands.evaluate.choosing import notes_on_left_out
from cellprep.commands.evaluate.classes import on_one_side_only, table_of_confusion
from cellprep.commands.evaluate.image import ImageEvaluation
from cellprep.core.scores import ImageScore, summarise, summarise_by_class, summarise_by_type
from cellprep.core.scores.image import NO_CELLS
from cellprep.errors import UsageError
from cellprep.formats.annotations.partial import ignored_notes, total
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.score_table import score_table
from cellprep.text.tables import text_table
from cellprep.text.wording import capped, count, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_SETS = ("images", "coco_ap", "coco_ap50", "coco_ap75")  # not defined for a single image


@dataclass(frozen=True)
class EvaluationReport(Report):
    """The scores of all images.

    Attributes
    ----------
    predicted, truth
        Descriptions of the two sides.
    images
        The outcome for each image, in the order of the truth.
    compare
        Function that compares both sides again, cell by cell, if they are still available.
    left_out
        For each side, ``predictions`` and ``truth``, the images missing on it, if only common images are scored.
    """

    _named = "; list all with --json"

    predicted: str
    truth: str
    images: Sequence[ImageEvaluation]
    compare: "Callable[[], DataFrame] | None" = field(default=None, repr=False, compare=False)
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def scored(self) -> list[tuple[ImageEvaluation, ImageScore]]:
        """The images that could be scored, with their scores."""
        return [(image, image.score) for image in self.images if image.score is not None]

    @property
    def failures(self) -> dict[str, str]:
        """The problem of each image that could not be scored."""
        return {image.image_id: image.problem for image in self.images if image.score is None}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The scores of each scored image."""
        return [{"image": image.image_id, "cell_type": image.cell_type, **_row(score)} for image, score in self.scored]

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The scores overall and by cell type, as `cellprep.core.scores.summarise_by_type` returns them."""
        if not self.scored:
            return {"overall": None, "by_cell_type": {}, "images": 0}
        return summarise_by_type([score for _, score in self.scored], [image.cell_type for image, _ in self.scored])

    @cached_property
    def class_scores(self) -> dict[str, Any]:
        """The scores by class, as `cellprep.core.scores.summarise_by_class` returns them; empty unless requested."""
        found = [image.classes for image in self.images if image.classes is not None]
        return summarise_by_class(found) if found else {}

    def worst(self, number: int) -> list[str]:
        """Return the ids of the images with the lowest ``kaggle_map``; among equals, those with more errors first."""
        ordered = sorted(
            self.scored, key=lambda pair: (pair[1].kaggle_precision, -pair[1].missed - pair[1].false, pair[0].image_id)
        )
        return [image.image_id for image, _ in ordered[:number]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            **self.scores,
            **self.class_scores,
            "predicted": self.predicted,
            "truth": self.truth,
            "by_image": [
                {"image": image.image_id, "cell_type": image.cell_type, **_of_image(score)}
                for image, score in self.scored
            ],
            "failures": self.failures,
            **({"left_out": {side: [*names] for side, names in self.left_out.items()}} if self.left_out else {}),
        }

    def matches_dataframe(self) -> "DataFrame":
        """Compare both sides again, and return a table with a row per matched pair and per unmatched cell.

        Returns
        -------
        DataFrame
            ``image``, ``cell_type`` of the true cell, ``true`` and ``predicted`` (the rows of the cells in their
            sources), ``iou`` and ``verdict``, as in `cellprep.core.scores.matches.Match`. Failed images come last, with
            their ``problem``.

        Raises
        ------
        UsageError
            If the report is not from `cellprep.evaluate`.
        """
        if self.compare is None:
            raise UsageError("matches of cells are available only in a report of cellprep.evaluate")
        return self.compare()

    def table(self) -> list[str]:
        """Return a table of the scores overall and by cell type, and by class if requested."""
        if not self.scored:
            return []
        lines = score_table({"all": self.scores["overall"], **self.scores["by_cell_type"]})
        if by_class := self.class_scores.get("by_class"):
            means = {name: self.class_scores[name] for name in ("mean_ap50", "mean_pq", "coco_map", "class_accuracy")}
            lines += ["", "by class of cells:", *score_table(by_class), "", *score_table({"all classes": means})]
            lines += ["", *table_of_confusion(self.class_scores["confusion"])]
        return lines

    def table_of(self, image_ids: Sequence[str]) -> list[str]:
        """Return a short table of the scores of some images."""
        by_id = {image.image_id: score for image, score in self.scored}
        names = ["kaggle_map", "truth", "predicted", "missed", "false", "merged", "split"]
        rows = []
        for image_id in image_ids:
            found = _of_image(by_id[image_id])
            rows.append(
                [printable(image_id), f"{found['kaggle_map']:.3f}", *(f"{found[name]:,}" for name in names[1:])]
            )
        return text_table(["image", *names], rows)

    def table_of_worst(self, number: int) -> list[str]:
        """Return a table of the images with the lowest scores."""
        return self.table_of(self.worst(number))

    def write_csv(self, path: Path | str) -> None:
        """Write the scores as a CSV with a row per image and a column per score.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "cell_type", *_row(NO_CELLS)])
        for row in self.rows:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in row.values()])
        write_whole(local_path(path, "path"), text.getvalue())

    def notes(self) -> list[str]:
        """Return lines with notes."""
        rules = sorted({image.overlap for image in self.images if image.overlap})
        lines = notes_on_left_out(self.left_out)
        lines += [
            f"overlaps of the true cells were already resolved ({rule}), so the cells are not as annotated"
            for rule in rules
        ]
        sizes = Counter(image.shrink for image in self.images if image.shrink > 1)
        lines += [
            f"predicted cells of {count(images, 'image')} scored at 1/{by} of their size, the size of the true cells"
            for by, images in sorted(sizes.items())
        ]
        lines += ignored_notes(total(image.ignored for image in self.images))
        if blank := [f"{printable(image.image_id)}: {_blank(score)}" for image, score in self.scored if _blank(score)]:
            lines += [
                "cells not scored, as they are in regions to ignore or have no pixels:",
                *capped(blank, "image"),
            ]
        if ignoring := [printable(image.image_id) for image in self.images if image.predicted_ignore]:
            lines += [f"regions to ignore have no effect in predictions: {', '.join(ignoring)}"]
        lines += on_one_side_only(self.class_scores.get("by_class", {}))
        without = [image.image_id for image, score in self.scored if score.detections is None]
        if 0 < len(without) < len(self.scored) and any(s.detections and s.predicted for _, s in self.scored):
            lines += [
                f"no COCO AP: cells without scores in {count(len(without), 'image')}, such as {printable(without[0])}"
            ]
        return [*lines, *self._why_no_cells()]

    def _why_no_cells(self) -> list[str]:
        """Return advice if a side has no cells."""
        overall = self.scores["overall"]
        if not overall or (overall["truth"] and overall["predicted"]):
            return []
        if not overall["predicted"]:
            return [
                "no predicted cells in any image: look at some with `cellprep predict --overlay`. Do the weights suit "
                "the size of the cells, and are cells brighter than the background, as in training?"
            ]
        return ["no true cells in any image: is TRUTH the right file, and were its labels or classes ignored?"]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield from super()._facts()
        if overall := self.scores["overall"]:
            numbers = {"kaggle_map": overall["kaggle_map"], "ap 0.50": overall["ap"]["0.50"], "pq": overall["pq"]}
            yield from ((name, f"{value:.3f}") for name, value in numbers.items())
            yield from ((name, f"{overall[name]:,}") for name in ("truth", "predicted", "missed", "false"))

    def _aftermath(self) -> str:
        return ", and were not scored"


def _of_image(score: ImageScore) -> dict[str, Any]:
    return {name: value for name, value in summarise([score]).items() if name not in _OF_SETS}


def _row(score: ImageScore) -> dict[str, Any]:
    """Return the scores by column of a table; None where a score is not defined."""
    row: dict[str, Any] = {}
    for name, value in _of_image(score).items():
        row |= {f"{name}_{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return row


def _blank(score: ImageScore) -> str:
    sides = {"true": score.blank_truth, "predicted": score.blank_predicted}
    return ", ".join(f"{number:,} {side}" for side, number in sides.items() if number)
