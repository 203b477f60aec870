"""The report on a prediction: numbers, names and notes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cellprep.formats.images.file import Pixels
from cellprep.formats.images.sizes import SizeReport
from cellprep.formats.names import IMAGE_CLASSES
from cellprep.learn.prediction.scaling import ScaleReport
from cellprep.learn.prediction.unlike import UnlikeImages
from cellprep.system.report import Report
from cellprep.text.wording import count, listed_problems, printable, turning_notes


@dataclass
class PredictionReport(Report):
    """The result of every image.

    Attributes
    ----------
    out
        The output folder.
    machine
        The device and precision.
    total
        Number of images to predict.
    chosen
        Lines that report choices made by default.
    images, cells
        Numbers of predicted images, and of instances in them.
    left_out
        Number of instances removed as too small.
    empty, unmasked
        Numbers of predicted images without instances, and without any pixel of a cell.
    vectors
        A note on vectors without instances; empty if there are instances.
    failures
        The problem of each image that was not predicted.
    turned
        For each image, whether its file's Orientation tag was applied or ignored; an empty string if it has no effect.
    pixels
        The location of each predicted image.
    sizes, scales
        The sizes of their pixels, and the scales at which networks saw them.
    unlike
        The images that look different from the training images.
    classes
        The names of the networks' classes of cells.
    of_other_classes
        Number of instances removed as instances of other classes than requested.
    rows
        For each predicted image, its numbers of instances, and whether it has a pixel of a cell; if the networks have
        classes, also the ``class`` of most of its instances, their ``share``, and the numbers ``cells_<class>``.
    """

    out: str
    machine: str
    total: int
    chosen: list[str] = field(default_factory=list)
    images: int = 0
    cells: int = 0
    left_out: int = 0
    empty: int = 0
    unmasked: int = 0
    vectors: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    turned: dict[str, str] = field(default_factory=dict)
    pixels: dict[str, Pixels] = field(default_factory=dict, repr=False)
    sizes: SizeReport = field(default_factory=SizeReport)
    scales: ScaleReport = field(default_factory=ScaleReport)
    unlike: UnlikeImages = field(default_factory=UnlikeImages)
    classes: tuple[str, ...] = ()
    of_other_classes: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def add(
        self,
        image_id: str,
        cells: int,
        left_out: int,
        has_mask: bool,
        types: Sequence[str] | None = None,
        of_other_classes: int = 0,
    ) -> None:
        """Count an image; `types` are the classes of its cells, if the networks have classes."""
        row = {"image": image_id, "cells": cells, "left_out": left_out, "has_mask": has_mask}
        self.rows.append({**row, **self._of_classes(types, of_other_classes)} if types is not None else row)
        self.of_other_classes += of_other_classes
        self.images += 1
        self.cells += cells
        self.left_out += left_out
        self.empty += cells == 0
        self.unmasked += not has_mask

    def _of_classes(self, types: Sequence[str], of_other_classes: int) -> dict[str, Any]:
        """Return an image's row on classes: its own class is that of most cells, the first of equals."""
        found = Counter(types)
        counts = {name: found[name] for name in self.classes}
        most = max(counts, key=counts.__getitem__) if types else ""
        share = round(counts[most] / len(types), 4) if types else None
        numbers = {f"cells_{name}": number for name, number in counts.items()}
        return {"of_other_classes": of_other_classes, "class": most, "share": share, **numbers}

    def _notes_on_classes(self) -> list[str]:
        """Return lines on the classes of cells and images; none without classes."""
        if not self.classes:
            return []
        cells = {name: sum(row[f"cells_{name}"] for row in self.rows) for name in self.classes}
        images = Counter(row["class"] for row in self.rows if row["class"])
        lines = [f"cells by class: {_counted(cells)}"]
        if images:
            lines.append(
                f"images by the class of most of their cells: {_counted(images)}; see {IMAGE_CLASSES} for each image"
            )
        if self.of_other_classes:
            lines.append(f"{count(self.of_other_classes, 'cell')} of other classes than --class removed")
        return lines

    def notes(self) -> list[str]:
        """Return lines on the results; if all images failed, only the choices made by default."""
        if not self.images:
            return self.chosen
        before = [*self.chosen, *turning_notes(self.turned.items()), *self.sizes.notes(), *self.scales.notes()]
        if self.vectors:
            return [
                *before,
                f"{self.out}: vectors of {count(self.images, 'image')}, no instances (on {self.machine})",
                *self.vectors,
            ]
        empty = f", {count(self.empty, 'image')} without cells" if self.empty else ""
        small = f", {self.left_out:,} more too small" if self.left_out else ""
        done = f"{count(self.images, 'image')}, {count(self.cells, 'cell')}{small}{empty} (on {self.machine})"
        why = [] if self.cells else [self._why_no_cells()]
        return [*before, f"{self.out}: {done}", *self._notes_on_classes(), *why, *self.unlike.notes()]

    def _why_no_cells(self) -> str:
        """Return advice for a prediction without any cell."""
        if self.unmasked == self.images:
            return (
                "no cells: the masks are empty. If they are files, check them; if the semantic network predicted them, "
                "compare the images with its training images: the size of the cells, and whether they are brighter "
                "than the background"
            )
        if self.of_other_classes:
            return "no cells: all cells found are of other classes than --class"
        if self.left_out:
            return "no cells: all cells found are smaller than --min-area: lower it to keep them"
        return (
            "no cells, although the masks are not empty: the energy is too low everywhere. Train longer, inspect the "
            "maps with --maps, or try another --decoder"
        )

    def errors(self) -> list[str]:
        """Return lines on failures; an empty list if there are none."""
        if not self.failures:
            return []
        nothing = "" if self.images else f"; {self.out} was not written"
        lines = [f"error: {len(self.failures):,} of {count(self.total, 'image')} failed{nothing}:"]
        return lines + listed_problems(self.failures.items())


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {printable(name)}" for name, number in numbers.items())
