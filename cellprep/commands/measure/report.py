"""The report of measuring."""

from dataclasses import dataclass, field
from typing import Any

from cellprep.commands.measure.image import Measured
from cellprep.formats.annotations.partial import Ignored, ignored_notes, total
from cellprep.formats.images.pixel_size import side_of
from cellprep.formats.images.sizes import SizeReport
from cellprep.system.executor import Failed
from cellprep.system.report import Report
from cellprep.text.wording import count

_WHY_NO_CELLS = (
    "no cells: SOURCE has none in these images. If these are predictions, look at some with `cellprep predict "
    "--overlay`. Do the weights suit the size of the cells, and are cells brighter than the background, as in training?"
)


@dataclass
class MeasureReport(Report):
    """The outcome for every image.

    Attributes
    ----------
    out
        The table that was written; empty if there is none.
    columns
        The names of its columns.
    images, cells
        Numbers of images that were measured, and of cells in them.
    ignored
        How much of the images is ignored, if the source marks regions to ignore.
    sizes
        The pixel sizes of the images.
    failures
        The problem of each image that could not be measured.
    rows
        For each other image, its number of cells, and of channels; 0 if it has no pixels.
    """

    out: str = ""
    columns: list[str] = field(default_factory=list)
    images: int = 0
    cells: int = 0
    ignored: Ignored | None = None
    sizes: SizeReport = field(default_factory=SizeReport, repr=False)
    failures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(self, image_id: str, found: Measured | Failed) -> None:
        """Count one image."""
        if isinstance(found, Failed):
            self.failures[image_id] = found.problem
            return
        cells = len(found.columns["label"])
        self.images += 1
        self.cells += cells
        self.ignored = total([self.ignored, found.ignored])
        self.sizes.add(image_id, self.sizes.given or side_of(found.sides), found.sides)
        self.rows.append({"image": image_id, "cells": cells, "channels": found.channels})

    def notes(self) -> list[str]:
        """Return lines on what was measured."""
        if not self.images:
            return []
        without = sum(row["channels"] == 0 for row in self.rows)
        pixels = f"; {count(without, 'image')} without pixels, thus without intensities" if without else ""
        cells = f"{count(self.images, 'image')}, {count(self.cells, 'cell')}, {count(len(self.columns), 'column')}"
        why = [] if self.cells else [_WHY_NO_CELLS]
        return [*self.sizes.problems(), *ignored_notes(self.ignored), f"{self.out}: {cells}{pixels}", *why]

    def _aftermath(self) -> str:
        return ", and are not in the table" if self.images else f"; {self.out} was not written"
