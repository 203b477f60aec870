"""The reports of written files, including the features that the format cannot hold."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cellprep.commands.export.writing import Written
from cellprep.formats.annotations.partial import Ignored, ignored_notes, total
from cellprep.formats.writers import FEATURES, Exporter
from cellprep.system.executor import Failed
from cellprep.system.report import Report
from cellprep.text.wording import capped, count, printable

# Features that a format cannot hold, and how they were written instead.
_LOST = {
    "overlaps": "{number} that overlap others: {format} has one cell per pixel, chosen by the rule {rule}",
    "holes": "{number} with holes, which were filled: {format} has no holes",
    "pieces": "{number} in several pieces, which became separate cells: {format} has only connected cells",
    "types": "{number} with types, which were left out: {format} has no types",
    "scores": "{number} with scores, which were left out: {format} has no scores",
    "names": "{number} with names, which were left out: {format} has no names",
}
_JOINED = {
    "holes": "{number} with holes, joined to their outlines by lines of zero width: {format} has no holes",
    "pieces": "{number} in several pieces, joined by lines of zero width: {format} has one outline per cell",
}


@dataclass
class WrittenReport(Report):
    """The outcome for every image to write.

    Attributes
    ----------
    out
        The path written.
    format
        The format's name.
    exporter
        The format.
    total
        Number of images to write.
    images, cells
        Numbers of images written, and of cells in them.
    hidden
        By image, the source rows of the cells that were left out, as they have no pixels.
    losses
        Numbers of cells with features that the format cannot hold: ``overlaps``, ``holes``, ``pieces``, ``types``,
        ``scores``, ``names``; for ``ignore``, the number of images with regions to ignore.
    joined
        Numbers of cells whose outlines were joined by lines of zero width: those with ``holes``, or in ``pieces``.
    ignored
        How much of the images is ignored, if the source marks regions to ignore.
    failures
        The problem of each image that was not written.
    rows
        The numbers of each image that was written.
    """

    out: str
    format: str
    exporter: Exporter = field(repr=False)
    total: int
    images: int = 0
    cells: int = 0
    hidden: dict[str, tuple[int, ...]] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    ignored: Ignored | None = None
    failures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(self, image_id: str, outcome: Written | Failed) -> None:
        """Count one image."""
        if isinstance(outcome, Failed):
            self.failures[image_id] = outcome.problem
            return
        self.images += 1
        self.cells += outcome.cells
        for told, found in ((self.losses, outcome.losses), (self.joined, outcome.joined)):
            told.update({name: told.get(name, 0) + number for name, number in found.items()})
        self.ignored = total([self.ignored, outcome.ignored])
        if outcome.hidden:
            self.hidden[image_id] = outcome.hidden
        numbers = {"cells": outcome.cells, "hidden": len(outcome.hidden)}
        lost = {name: outcome.losses.get(name, 0) for name in FEATURES if name not in self.exporter.holds}
        self.rows.append({"image": image_id, **numbers, **lost})

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed, with the summary last."""
        lines = []
        if self.hidden:
            rows_of = [f"{printable(name)}: row {', '.join(map(str, rows))}" for name, rows in self.hidden.items()]
            hidden = count(sum(map(len, self.hidden.values())), "cell")
            lines += [f"{hidden} without pixels, left out:", *capped(rows_of, "image")]
        for told, words in ((self.losses, _LOST), (self.joined, _JOINED)):
            for name in (name for name in words if name in told):
                number = count(told[name], "cell")
                lines.append(words[name].format(number=number, format=self.format, rule=self._rule()))
        if "ignore" in self.losses:
            lines.append(
                f"{count(self.losses['ignore'], 'image')} with regions to ignore, which {self.format} cannot express:"
            )
            lines += capped((printable(row["image"]) for row in self.rows if row["ignore"]), "image")
        return [*lines, *ignored_notes(self.ignored), *self._summary()]

    def _rule(self) -> str:
        """Return the rule that resolves overlaps if the format cannot hold them."""
        return ""

    def _summary(self) -> list[str]:
        if not self.images:
            return []
        return [f"{self.out}: {count(self.images, 'image')}, {count(self.cells, 'cell')}, as {self.format}"]

    def _tried(self) -> int:
        return self.total

    def _aftermath(self) -> str:
        return "" if self.images else f"; {self.out} was not written"


@dataclass
class ExportReport(WrittenReport):
    """The outcome for every image of a store.

    Attributes
    ----------
    shapes
        Numbers of images by factor N and size (H, W), for images that the store has at 1/N of their size, N > 1.
    """

    shapes: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed, starting with images that are smaller than annotated."""
        sizes = [
            f"{height} x {width}: {count(images, 'image')} at 1/{by}"
            for (by, height, width), images in self.shapes.most_common()
        ]
        what = "files have the size of the images in the store, not of the annotated images (height x width):"
        return [*([what, *capped(sizes, "size")] if sizes else []), *super().notes()]
