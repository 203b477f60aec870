"""The report of an export."""

from dataclasses import dataclass, field
from typing import Any

from cellprep.commands.export.image import ImageOutcome
from cellprep.system.executor import Failed
from cellprep.system.report import Report
from cellprep.text.wording import capped, count, printable


class WrittenReport(Report):
    """What reports of written files share; they have the fields that this names."""

    out: str
    format: str
    total: int
    images: int
    cells: int
    hidden: dict[str, tuple[int, ...]]

    def _hidden_notes(self) -> list[str]:
        if not self.hidden:
            return []
        rows_of = [f"{printable(name)}: row {', '.join(map(str, rows))}" for name, rows in self.hidden.items()]
        hidden = count(sum(map(len, self.hidden.values())), "cell")
        return [f"{hidden} without pixels, left out:", *capped(rows_of, "image")]

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
    out
        What was written.
    format
        The format's name.
    total
        Number of the store's images.
    images, cells
        Numbers of images exported, and of cells in them.
    hidden
        Per image the source rows of the cells without pixels, which cannot be exported.
    ignore_left_out
        Images with regions to ignore, which the format cannot express.
    failures
        Per image that was not exported what is wrong with it.
    rows
        Per image that was exported its numbers of cells.
    """

    out: str
    format: str
    total: int
    images: int = 0
    cells: int = 0
    hidden: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ignore_left_out: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(self, image_id: str, outcome: ImageOutcome | Failed) -> None:
        """Count one image."""
        if isinstance(outcome, Failed):
            self.failures[image_id] = outcome.problem
            return
        self.images += 1
        self.cells += outcome.cells
        numbers = {"cells": outcome.cells, "hidden": len(outcome.hidden), "ignore_left_out": outcome.ignore_left_out}
        self.rows.append({"image": image_id, **numbers})
        if outcome.hidden:
            self.hidden[image_id] = outcome.hidden
        if outcome.ignore_left_out:
            self.ignore_left_out.append(image_id)

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed, the summary last."""
        lines = self._hidden_notes()
        if self.ignore_left_out:
            images = count(len(self.ignore_left_out), "image")
            lines.append(f"{images} with regions to ignore, which {self.format} cannot express:")
            lines += capped(map(printable, self.ignore_left_out), "image")
        return [*lines, *self._summary()]
