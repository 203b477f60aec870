"""The report of a build."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cellprep.commands.build_targets.pixels import PixelReport
from cellprep.commands.build_targets.task import ImageOutcome, Status
from cellprep.core.rle import Order
from cellprep.formats.annotations.partial import Ignored, ignored_notes, total
from cellprep.formats.images.sizes import SizeReport
from cellprep.system.report import Report
from cellprep.text.wording import capped, count, printable, turning_notes


@dataclass
class BuildReport(Report):
    """The outcome for every image of a source, and for the store's other images.

    Attributes
    ----------
    store
        The store's path.
    order
        The pixel order assumed for the source's run lengths; None if there was no choice.
    total
        Number of images to build.
    new, rewritten, current
        Numbers of images that were missing, that were stale (or to be overwritten), and that stayed unchanged.
    cells
        Number of cells in all these images.
    empty
        Number of these images that have no cells.
    hidden
        By image, the source rows of the cells that others cover completely.
    blank
        By image, the source rows of the annotations without pixels at the stored size.
    turned, as_stored
        Images whose Orientation tag rotates or flips them: those for which it was applied, and those for which it was
        ignored.
    nan
        Images built now whose pixels include NaN or infinity.
    ignored
        How much of the images is ignored, if the source marks regions to ignore.
    unannotated
        Names of image files without annotations.
    failures
        The problem of each image that is not in the store.
    removed
        Images whose stale version was removed from the store because they failed.
    gone
        Images of the store that are not in the source.
    pruned
        Whether `gone` were removed.
    stopped
        Why the run ended before all images were tried, if it did.
    pixels
        The source of the images' pixels, and the images without pixels.
    sizes
        The pixel sizes of the images.
    of_category
        Numbers of cells by category, if categories were renamed or left out; cells without one are at the empty string.
    shrink
        Factor by which images and cells are reduced in the store: N for 1/N of their size.
    rows
        For each image in the store, its status and its numbers of cells.
    """

    _named = "; for all of them, run `cellprep check --out flags.csv` with the same SOURCE and options"

    store: str
    order: Order | None
    total: int
    new: int = 0
    rewritten: int = 0
    current: int = 0
    cells: int = 0
    empty: int = 0
    hidden: dict[str, tuple[int, ...]] = field(default_factory=dict)
    blank: dict[str, tuple[int, ...]] = field(default_factory=dict)
    turned: list[str] = field(default_factory=list)
    as_stored: list[str] = field(default_factory=list)
    nan: list[str] = field(default_factory=list)
    ignored: Ignored | None = None
    unannotated: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    pruned: bool = False
    stopped: str = ""
    pixels: PixelReport = field(default_factory=PixelReport)
    sizes: SizeReport = field(default_factory=SizeReport)
    of_category: Counter[str] | None = None
    shrink: int = 1
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _touching: tuple[int, int] = field(default=(0, 0), init=False)

    def add(self, outcome: ImageOutcome, *, was_there: bool) -> None:
        """Count one image; `was_there` is True if an older version of it was removed from the store."""
        self.new += outcome.status == Status.BUILT and not was_there
        self.rewritten += outcome.status == Status.BUILT and was_there
        self.current += outcome.status == Status.CURRENT
        self.cells += outcome.cells
        self.empty += outcome.cells == 0
        self.rows.append(
            {
                "image": outcome.image_id,
                "status": "current" if outcome.status == Status.CURRENT else "rewritten" if was_there else "new",
                "cells": outcome.cells,
                "hidden": len(outcome.hidden),
                "blank": len(outcome.blank),
            }
        )
        if self.of_category is not None and (told := outcome.metadata):
            self.of_category.update(dict(zip(told.categories, told.cells_of_category, strict=True)))
            self.of_category[""] += told.cells - sum(told.cells_of_category)
        if outcome.hidden:
            self.hidden[outcome.image_id] = outcome.hidden
        if outcome.blank:
            self.blank[outcome.image_id] = outcome.blank
        self.pixels.add(
            outcome.image_id,
            outcome.lacking,
            before=outcome.had_pixels,
            now=outcome.metadata is not None and "image" in outcome.metadata.arrays,
        )
        self.sizes.add(outcome.image_id, outcome.metadata.pixel_size if outcome.metadata else None, outcome.sides)
        if outcome.turned:
            (self.turned if outcome.turned == "applied" else self.as_stored).append(outcome.image_id)
        if outcome.has_nan:
            self.nan.append(outcome.image_id)
        self.ignored = total([self.ignored, outcome.ignored])
        self._touching = (
            self._touching[0] + outcome.touching[0],
            self._touching[1] + outcome.touching[1],
        )

    def fail(self, image_id: str, problem: str, *, was_there: bool) -> None:
        """Count one image that failed."""
        self.failures[image_id] = problem
        if was_there:
            self.removed.append(image_id)

    @property
    def looks_scattered(self) -> bool:
        """True if masks look scattered in the given pixel order, but compact in the other one.

        On square images, both orders look alike, and only a picture shows which is right.
        """
        given, other = self._touching
        return self.order is not None and other >= 20 and other > 10 * given  # in real data at least 100 times as many

    def sort(self, image_ids: list[str]) -> None:
        """Sort images into the source's order, as workers finish in any order."""
        place = {image_id: k for k, image_id in enumerate(image_ids)}
        self.hidden = dict(sorted(self.hidden.items(), key=lambda item: place[item[0]]))
        self.blank = dict(sorted(self.blank.items(), key=lambda item: place[item[0]]))
        self.failures = dict(sorted(self.failures.items(), key=lambda item: place[item[0]]))
        for names in (self.removed, self.turned, self.as_stored, self.nan):
            names.sort(key=place.__getitem__)
        self.rows.sort(key=lambda row: place[row["image"]])
        self.pixels.sort(place)
        self.sizes.sort(place)

    def notes(self) -> list[str]:
        """Return lines on what was done and noticed, with the summary last."""
        lines = []
        if self.gone:
            what = "removed" if self.pruned else "kept; --prune removes them"
            lines += [
                f"{count(len(self.gone), 'image')} no longer in the source, or excluded ({what}):",
                *capped(map(printable, self.gone), "image"),
            ]
        lines += _rows_of("hidden completely by others, kept in `cells` without pixels", self.hidden)
        small = f" at 1/{self.shrink} of the size" if self.shrink > 1 else ""
        lines += _rows_of(f"without pixels{small}, kept in `cells`", self.blank)
        lines += _some("image file", "without annotations, not in the store", self.unannotated)
        tags = dict.fromkeys(self.turned, "applied") | dict.fromkeys(self.as_stored, "ignored")
        lines += turning_notes(tags.items())
        lines += _some("image", "with NaN or infinite pixels, on which no network can be trained", self.nan)
        if self.looks_scattered:
            other = "column" if self.order == "row" else "row"
            lines.append(
                f"warning: the masks look scattered in pixel order {self.order}, but compact in order {other}: run "
                f"again with --rle-order {other}, or check whether width and height are swapped in the source (image "
                "files would show it: --images)"
            )
        if self.of_category:
            numbers = sorted((+self.of_category).items())
            named = [f"{number:,} {printable(name) or 'without a category'}" for name, number in numbers]
            lines.append(f"cells by category: {', '.join(named)}")
        return [*lines, *self.pixels.notes(), *self.sizes.notes(), *ignored_notes(self.ignored), self._summary()]

    def errors(self) -> list[str]:
        """Return lines on failures and their consequences, if there are any."""
        lines = super().errors()
        if self.removed:
            lines += [
                "the stale versions of these failed images were removed from the store:",
                *capped(map(printable, self.removed), "image"),
            ]
        if self.stopped:
            done = self.new + self.rewritten + self.current + len(self.failures)
            lines.append(
                f"error: {self.stopped}; {count(self.total - done, 'image')} not tried. The images in the store are "
                "complete; run the same command to continue"
            )
        return lines

    def _tried(self) -> int:
        return self.total

    def _summary(self) -> str:
        parts = [f"{self.new} new", f"{self.rewritten} rewritten", f"{self.current} current"]
        empty = f", {count(self.empty, 'image')} without cells" if self.empty else ""
        small = f", at 1/{self.shrink} of the size" if self.shrink > 1 else ""
        return (
            f"{self.store}: {count(self.new + self.rewritten + self.current, 'image')} "
            f"({', '.join(parts)}), {count(self.cells, 'cell')}{empty}{small}"
        )


def _some(what: str, which: str, names: list[str]) -> list[str]:
    if not names:
        return []
    return [f"{count(len(names), what)} {which}:", *capped(map(printable, names), what)]


def _rows_of(what: str, rows: dict[str, tuple[int, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [f"{printable(name)}: row {', '.join(map(str, found))}" for name, found in rows.items()]
    return [f"{count(sum(map(len, rows.values())), 'cell')} {what}:", *capped(lines, "image")]
