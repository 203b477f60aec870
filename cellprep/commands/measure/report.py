"""What was measured, in numbers, names and words."""

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
    "no cells: SOURCE has none in these images. Of predictions, look at them by `cellprep predict --overlay`: do the "
    "weights fit, in the cells' size and in whether these are brighter than the background?"
)


@dataclass
class MeasureReport(Report):
    """What became of every image.

    Attributes
    ----------
    out
        The table that was written; empty if none was.
    columns
        The names of its columns.
    images, cells
        Numbers of images that were measured, and of cells in them.
    ignored
        How much of the images is ignored, if something was to be.
    sizes
        The sizes of their pixels.
    failures
        Per image that could not be measured what is wrong with it.
    rows
        Per other image its number of cells, and of channels of its image; 0 if it has none.
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
        """Say what was measured."""
        if not self.images:
            return []
        without = sum(row["channels"] == 0 for row in self.rows)
        pixels = f"; {count(without, 'image')} without pixels, and so without intensities" if without else ""
        cells = f"{count(self.images, 'image')}, {count(self.cells, 'cell')}, {count(len(self.columns), 'column')}"
        why = [] if self.cells else [_WHY_NO_CELLS]
        return [*self.sizes.problems(), *ignored_notes(self.ignored), f"{self.out}: {cells}{pixels}", *why]

    def _aftermath(self) -> str:
        return ", and are not in the table" if self.images else f"; {self.out} was not written"
