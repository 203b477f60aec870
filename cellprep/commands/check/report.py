"""The report of a check as a table, JSON, and a CSV of flags."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cellprep.commands.check.findings import Finding, ImageFindings
from cellprep.commands.check.rules import RULES
from cellprep.commands.check.suspects import Suspect, find_suspects
from cellprep.formats.annotations.partial import ignored_notes, total
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.system.report import Report
from cellprep.text.frames import make_frame
from cellprep.text.tables import text_table
from cellprep.text.wording import count, indented, printable, turning_notes

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = {
    "image": "string",
    "row": "Int64",
    "cell_type": "string",
    "rule": "string",
    "value": "Float64",
    "threshold": "Float64",
    "partner": "Int64",
    "note": "string",
}

_NAMED = 10  # images listed for each rule


class Flag(NamedTuple):
    """A finding as text: a row in a CSV of flags."""

    image: str
    row: str
    cell_type: str
    rule: str
    value: str
    threshold: str
    note: str


@dataclass(frozen=True)
class CheckReport(Report):
    """The findings of a check.

    Attributes
    ----------
    source
        Description of the source.
    images
        The findings in each image, in the source's order.
    findings
        All findings by image, and in the order of the rules within an image.
    rules
        The rules whose findings are flagged; those of other rules are only counted.
    thresholds
        The lowest value that each rule finds.
    """

    source: str
    images: Sequence[ImageFindings]
    findings: Sequence[Finding]
    rules: frozenset[str]
    thresholds: dict[str, float]

    @property
    def flagged(self) -> list[Finding]:
        """The flagged findings."""
        return [finding for finding in self.findings if finding.rule in self.rules]

    @property
    def suspects(self) -> list[Suspect]:
        """The flagged annotations and images, worst first, each with all its findings."""
        return find_suspects(self.flagged, self.images, self.thresholds)

    @property
    def annotations(self) -> Counter[str]:
        """Number of annotations by type, including those that could not be read."""
        return self.cells + Counter(found.cell_type for found in self._of_rule("fault"))

    @property
    def cells(self) -> Counter[str]:
        """Number of annotations that could be read, by type."""
        return Counter(name for image in self.images for name in image.cell_types)

    @property
    def failures(self) -> dict[str, str]:
        """The problem of each image whose annotations cannot be read."""
        return {found.image_id: found.note for found in self._of_rule("image-fault")}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For each other image, the number of readable annotations, and of findings by rule."""
        of_image, failures = self._counts(), self.failures
        return [
            {
                "image": image.image_id,
                "cell_type": image.cell_type,
                "cells": len(image.rows),
                **{name: of_image[image.image_id][name] for name in RULES},
            }
            for image in self.images
            if image.image_id not in failures
        ]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "source", printable(self.source)
        yield "annotations", f"{self.annotations.total():,}"
        yield "suspicious findings", f"{len(self.flagged):,}"

    def write_flags(self, path: Path | str) -> None:
        """Write the flags as a CSV with the columns image, row, cell_type, rule, value, threshold, note.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Flag._fields)
        writer.writerows(map(self.flag, self.flagged))
        write_whole(local_path(path, "path"), text.getvalue())

    def flag(self, found: Finding) -> Flag:
        """Return a finding as a row of `write_flags`."""
        row = "" if found.row is None else str(found.row)
        value = "" if found.value is None else f"{found.value:.4g}"
        threshold = str(self.thresholds.get(found.rule, ""))
        return Flag(found.image_id, row, found.cell_type, found.rule, value, threshold, found.note)

    def findings_dataframe(self) -> "DataFrame":
        """Return a table with a row per flagged finding, as in `write_flags`.

        Returns
        -------
        DataFrame
            ``image``, ``row``, ``cell_type``, ``rule``, ``value``, ``threshold``, ``partner`` (the row that it was
            compared to) and ``note``.
        """
        flagged = self.flagged
        columns: dict[str, list[Any]] = {
            "image": [found.image_id for found in flagged],
            "row": [found.row for found in flagged],
            "cell_type": [found.cell_type or None for found in flagged],
            "rule": [found.rule for found in flagged],
            "value": [found.value for found in flagged],
            "threshold": [self.thresholds.get(found.rule) for found in flagged],
            "partner": [found.partner for found in flagged],
            "note": [found.note or None for found in flagged],
        }
        return make_frame([columns], _COLUMNS)

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        of_image, cells = self._counts(), self.cells
        types = Counter(image.cell_type for image in self.images)
        return {
            "source": self.source,
            "images": len(self.images),
            "cells": cells.total(),
            "by_cell_type": {
                name: {"images": types[name], "cells": cells[name]} for name in sorted(types.keys() | cells.keys())
            },
            "rules": {
                name: {
                    "says": rule.says,
                    "threshold": self.thresholds.get(name),
                    "flagged": name in self.rules,
                    "findings": dict(sorted(Counter(f.cell_type for f in self._of_rule(name)).items())),
                }
                for name, rule in RULES.items()
            },
            "by_image": [
                {
                    "image": image.image_id,
                    "cell_type": image.cell_type,
                    "cells": len(image.rows),
                    "findings": dict(of_image[image.image_id]),
                }
                for image in self.images
            ],
            "flags": [_flag(found) for found in self.flagged],
        }

    def table(self) -> list[str]:
        """Return a table of the numbers of findings by rule and type, and lines on the problems of images."""
        annotations = self.annotations
        types = sorted(annotations.keys() | {found.cell_type for found in self.findings})
        header = ["rule", "threshold", *(printable(name) if name else "(no type)" for name in types), "all"]
        images = Counter(image.cell_type for image in self.images)
        rows = [
            ["images", "", *_numbers(images, types)],
            ["annotations", "", *_numbers(annotations, types)],
            *(
                [name, f"{self.thresholds[name]:g}" if name in self.thresholds else "", *_numbers(counts, types)]
                for name in RULES
                if (counts := Counter(found.cell_type for found in self._of_rule(name)))
            ),
        ]
        table = text_table(header, rows)
        return [self.source, *table, *self._images_in_words(), self._summary(), *self._worst()]

    def notes(self) -> list[str]:
        """Return lines on rotated images, on ignored regions, and on the limits of checking a store."""
        turned = turning_notes((image.image_id, image.turned) for image in self.images)
        cut = sum(image.cut for image in self.images)
        untold = (
            f"{count(cut, 'annotation')} lost pixels to others when the store was built: only the remaining shapes can "
            "be checked, and overlaps cannot; check the annotations that the store was built from as well"
        )
        ignored = ignored_notes(total(image.ignored for image in self.images))
        return [*turned, *ignored, *([untold] if cut else [])]

    def _counts(self) -> dict[str, Counter[str]]:
        """Count the findings of each image by rule."""
        of_image: dict[str, Counter[str]] = {image.image_id: Counter() for image in self.images}
        for found in self.findings:
            of_image.setdefault(found.image_id, Counter())[found.rule] += 1
        return of_image

    def _of_rule(self, name: str) -> Iterable[Finding]:
        return (found for found in self.findings if found.rule == name)

    def _images_in_words(self) -> list[str]:
        lines = []
        told: Counter[str] = Counter()
        for found in self.flagged:
            if found.row is None or found.rule == "fault":
                told[found.rule] += 1
                if told[found.rule] <= _NAMED:
                    lines.append(_in_words(found))
        more = (told - Counter(dict.fromkeys(told, _NAMED))).items()
        return lines + [f"{rule}: {number:,} more; list all with --out" for rule, number in more]

    def _worst(self) -> list[str]:
        """Return lines on the worst annotations; images as a whole and unreadable masks are listed before."""
        worst = [one for one in self.suspects if one.row is not None and one.findings[0].rule != "fault"]
        title = f"The {_NAMED} worst annotations:" if len(worst) > _NAMED else "These annotations, worst first:"
        return [title, *indented(map(str, worst[:_NAMED]))] if worst else []

    def _summary(self) -> str:
        annotations = {(found.image_id, found.row) for found in self.flagged if found.row is not None}
        images = {found.image_id for found in self.flagged if found.row is None}
        return (
            f"suspicious: {len(annotations):,} of {self.annotations.total():,} annotations, and {len(images):,} of "
            f"{len(self.images):,} images as a whole"
        )


def _flag(found: Finding) -> dict[str, Any]:
    return {
        "image": found.image_id,
        "row": found.row,
        "cell_type": found.cell_type,
        "rule": found.rule,
        "value": found.value,
        "note": found.note,
    }


def _in_words(found: Finding) -> str:
    row = "" if found.row is None else f" row {found.row}"
    value = "" if found.value is None else f" {found.value:.3g}"
    note = f": {printable(found.note)}" if found.note else ""
    return f"{printable(found.image_id)}{row}: {found.rule}{value}{note}"


def _numbers(counts: Counter[str], types: Sequence[str]) -> list[str]:
    return [*(f"{counts[name]:,}" for name in types), f"{counts.total():,}"]
