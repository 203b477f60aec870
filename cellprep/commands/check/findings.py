"""The findings of a check in one image."""

from dataclasses import dataclass

from cellprep.formats.annotations.partial import Ignored


@dataclass(frozen=True, slots=True)
class Finding:
    """A suspicious annotation or image.

    Attributes
    ----------
    image_id
        The image.
    rule
        A name in `RULES`.
    row
        The annotation's row in the source; None for an image as a whole.
    cell_type
        Its type, or that of the image; an empty string if it has none.
    value
        The measured value, if the rule measures something.
    note
        A description of the problem, if the value does not describe it.
    partner
        The row of the annotation that it was compared to, if any.
    area
        Number of pixels of the annotation; None for an image as a whole, and if the annotation cannot be read.
    usual
        The median area of its type, if its area was compared to it.
    """

    image_id: str
    rule: str
    row: int | None = None
    cell_type: str = ""
    value: float | None = None
    note: str = ""
    partner: int | None = None
    area: int | None = None
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class ImageFindings:
    """The findings in one image, and facts about its annotations for later rules.

    Attributes
    ----------
    image_id
        The image.
    cell_type
        Its type.
    findings
        The findings.
    rows, cell_types, areas
        (n,) each: row in the source, type and area in pixels of each annotation, before overlaps are resolved.
    turned
        Whether the Orientation tag of its file was applied or ignored; an empty string if the tag does not rotate or
        flip it.
    ignored
        How much of it is ignored, if the source marks regions to ignore.
    pixel_size
        Side of a pixel in micrometres, if known.
    cut
        Number of annotations that lost pixels to others before.
    """

    image_id: str
    cell_type: str
    findings: tuple[Finding, ...]
    rows: tuple[int, ...] = ()
    cell_types: tuple[str, ...] = ()
    areas: tuple[int, ...] = ()
    turned: str = ""
    ignored: Ignored | None = None
    pixel_size: float | None = None
    cut: int = 0
