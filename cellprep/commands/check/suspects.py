"""Suspicious annotations: all findings of each, described in sentences, worst first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cellprep.commands.check.findings import Finding, ImageFindings
from cellprep.commands.check.rules import RULES
from cellprep.text.wording import printable


@dataclass(frozen=True, slots=True)
class Suspect:
    """An annotation, or an image as a whole, with all its findings.

    Attributes
    ----------
    image_id, row, cell_type
        As in `Finding`.
    findings
        The findings, in the order of the rules.
    words
        A sentence per finding.
    severity
        The sum over its findings of values from 0 (at the threshold) to 1.
    """

    image_id: str
    row: int | None
    cell_type: str
    findings: tuple[Finding, ...]
    words: tuple[str, ...]
    severity: float

    def __str__(self) -> str:
        row = "" if self.row is None else f" row {self.row}"
        cell_type = f" ({printable(self.cell_type)})" if self.cell_type else ""
        return f"{printable(self.image_id)}{row}{cell_type}: {' '.join(self.words)}"


class _Size(NamedTuple):
    """The area of an annotation in pixels, and the side of a pixel in micrometres, if known."""

    pixels: int
    side: float | None

    def length(self, pixels: float) -> str:
        return f"{pixels:,.0f} px" + (f" ({pixels * self.side:,.3g} µm)" if self.side else "")

    def area(self, pixels: float) -> str:
        return f"{pixels:,.0f} px" + (f" ({pixels * self.side**2:,.3g} µm²)" if self.side else "")


def find_suspects(
    findings: Iterable[Finding], images: Sequence[ImageFindings], thresholds: Mapping[str, float]
) -> list[Suspect]:
    """Collect the findings of each annotation, and of each image as a whole, worst first.

    Parameters
    ----------
    findings
        The findings to collect.
    images
        All images, with their pixel sizes.
    thresholds
        Thresholds of the rules that have one.
    """
    together: dict[tuple[str, int | None], list[Finding]] = {}
    copies: dict[tuple[str, int | None], int | None] = {}
    for one in findings:
        together.setdefault((one.image_id, one.row), []).append(one)
        if one.rule == "duplicate":
            copies[one.image_id, one.partner] = one.row
    sides = {image.image_id: image.pixel_size for image in images}
    suspects = [
        Suspect(
            *place,
            cell_type=found[0].cell_type,
            findings=tuple(found),
            words=tuple(
                _in_words(one, _Size(one.area or 0, sides.get(one.image_id)), copies.get(place)) for one in found
            ),
            severity=sum(_severity(one, thresholds.get(one.rule)) for one in found),
        )
        for place, found in together.items()
    ]
    return sorted(suspects, key=lambda suspect: -suspect.severity)  # the sort is stable


def _severity(found: Finding, threshold: float | None) -> float:
    if threshold is None or found.value is None:
        return float(RULES[found.rule].suspicious)
    if found.rule in ("duplicate", "inside", "overlap"):  # shares, at most 1
        return (found.value - threshold) / max(1 - threshold, 1e-9)
    return 1 - threshold / found.value


def _in_words(found: Finding, size: _Size, copy: int | None) -> str:
    """Return a sentence on what is wrong, with units; `copy` is the row of a duplicate."""
    value, partner = found.value or 0.0, f"row {found.partner}"
    match found.rule:
        case "duplicate" if value == 1:
            return f"It is an exact copy of {partner}."
        case "duplicate":
            return f"It is a near copy of {partner}: their IoU is {value:.2g}."
        case "inside":
            return f"{'All' if value == 1 else _share(value)} of this cell is inside {partner}."
        case "overlap":
            return f"{'All' if value == 1 else _share(value)} of this cell is also covered by others."
        case "hidden" if copy is not None:
            return f"It has no pixels left, as row {copy} is a copy of it: exclude only one of the two."
        case "hidden":
            return "Other cells cover it completely, so that it has no pixels left."
        case "components":
            return f"It consists of {value:.0f} separate pieces."
        case "holes":
            holes, own = size.area(value * size.pixels), size.area(size.pixels)
            return f"Its holes ({holes}) are {_share(value)} of its area ({own}): it may be only partly filled."
        case "thin-lines":
            thin = size.area(value * size.pixels**0.5)
            return f"{thin} of its {size.area(size.pixels)} are lines one pixel wide: its outline may not be filled."
        case "straight-cut":
            cut = size.length(value * size.pixels**0.5)
            return f"Its outline runs straight along a row for {cut}: it may be truncated."
        case "tiny" | "huge":
            beside = "below" if found.rule == "tiny" else "above"
            usual = size.area(found.usual or 0)
            return f"Its area is {size.area(size.pixels)}, far {beside} the median of its type, {usual}."
        case "annotated-twice":
            twice = _share(value / (1 + value))
            return f"{twice} of its annotated pixels are covered more than once: it may have been annotated twice."
    says = RULES[found.rule].says
    return f"{says[0].upper()}{says[1:]}" + (f": {printable(found.note)}." if found.note else ".")


def _share(value: float) -> str:
    """Return a share in percent, which is never rounded to 100 %."""
    return "over 99 %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"
