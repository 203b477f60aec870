"""The report of a conversion."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cellprep.commands.convert.image import ImageConverted
from cellprep.commands.export.report import WrittenReport
from cellprep.formats.writers import FEATURES, Exporter
from cellprep.system.executor import Failed
from cellprep.text.wording import count

# What a format cannot hold, and what became of it.
_LOST = {
    "overlaps": "{number} that overlap others: {format} has one cell per pixel, by the rule {rule}",
    "holes": "{number} with holes, which are filled: {format} has none",
    "pieces": "{number} in several pieces, which are cells of their own now: {format} has none",
    "types": "{number} with types, which are left out: {format} has none",
    "scores": "{number} with scores, which are left out: {format} has none",
}
_JOINED = {
    "holes": "{number} with holes, joined to their outlines by lines of no width: {format} has no holes",
    "pieces": "{number} in several pieces, joined by lines of no width: {format} has one outline per cell",
}


@dataclass
class ConvertReport(WrittenReport):
    """The outcome for every image of a source.

    Attributes
    ----------
    out
        What was written.
    format
        The format's name.
    exporter
        The format.
    overlap
        The rule that resolves overlaps, where the format cannot hold them.
    total
        Number of the source's images.
    images, cells
        Numbers of images converted, and of cells in them.
    hidden
        Per image the source rows of the cells that were left out, as they have no pixels.
    losses
        Numbers of cells of which the format cannot hold something, by its name: ``overlaps``, ``holes``, ``pieces``,
        ``types``, ``scores``; for ``ignore`` the number of images with regions to ignore.
    joined
        Numbers of cells whose outlines had to be joined by lines of no width: those with ``holes``, or in ``pieces``.
    mean_iou, min_iou
        How well simplified outlines agree with the exact cells; 1 if they are exact.
    failures
        Per image that was not converted what is wrong with it.
    rows
        Per image that was converted its numbers.
    """

    out: str
    format: str
    exporter: Exporter = field(repr=False)
    overlap: str
    total: int
    images: int = 0
    cells: int = 0
    hidden: dict[str, tuple[int, ...]] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    min_iou: float = 1.0
    failures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _sum_of_ious: float = field(default=0.0, repr=False)
    _simplified: int = field(default=0, repr=False)

    @property
    def mean_iou(self) -> float:
        """How well simplified outlines agree with the exact cells on average."""
        return self._sum_of_ious / self._simplified if self._simplified else 1.0

    def add(self, image_id: str, outcome: ImageConverted | Failed) -> None:
        """Count one image."""
        if isinstance(outcome, Failed):
            self.failures[image_id] = outcome.problem
            return
        self.images += 1
        self.cells += outcome.cells
        for total, of_image in ((self.losses, outcome.losses), (self.joined, outcome.joined)):
            for name, number in of_image.items():
                total[name] = total.get(name, 0) + number
        if outcome.hidden:
            self.hidden[image_id] = outcome.hidden
        self._sum_of_ious += float(outcome.ious.sum())
        self._simplified += len(outcome.ious)
        self.min_iou = min(self.min_iou, float(np.min(outcome.ious, initial=1)))
        numbers = {"cells": outcome.cells, "hidden": len(outcome.hidden)}
        lost = {name: outcome.losses.get(name, 0) for name in FEATURES if name not in self.exporter.holds}
        self.rows.append({"image": image_id, **numbers, **lost})

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed, the summary last."""
        lines = self._hidden_notes()
        for told, words in ((self.losses, _LOST), (self.joined, _JOINED)):
            for name in (name for name in words if name in told):
                number = count(told[name], "cell")
                lines.append(words[name].format(number=number, format=self.format, rule=self.overlap))
        if "ignore" in self.losses:
            images = count(self.losses["ignore"], "image")
            lines.append(f"{images} with regions to ignore, which {self.format} cannot express")
        if self._simplified:
            lines.append(
                f"simplified outlines agree with the exact cells by an IoU of {self.mean_iou:.4f} on average, "
                f"{self.min_iou:.4f} at least"
            )
        return [*lines, *self._summary()]
