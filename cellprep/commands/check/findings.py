"""The findings of a check in one image."""

from dataclasses import dataclass

from cellprep.formats.annotations.partial import Ignored


@dataclass(frozen=True, slots=True)
class Finding:
    """Something suspicious.

    Attributes
    ----------
    image_id
        The image.
    rule
        A name in `RULES`.
    row
        The annotation's place in the source; None if it is the image as a whole.
    cell_type
        Its category, or the image's; empty text if there is none.
    value
        What was measured, if the rule measures.
    note
        What is wrong, in words, where numbers do not tell.
    partner
        The row of the annotation that it was compared to, if it was.
    area
        Pixels of the annotation that was measured; None if it is the image as a whole, or cannot be read.
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
    """The findings in one image, and what later rules need of its annotations.

    Attributes
    ----------
    image_id
        The image.
    cell_type
        Its category.
    findings
        What was found.
    rows, cell_types, areas
        (n,) of each annotation: its place in the source, category and area in pixels, before overlaps.
    turned
        What became of the Orientation tag of its file: applied or ignored; empty text if it turns nothing.
    ignored
        How much of it is ignored, if something was to be.
    pixel_size
        Side of a pixel in micrometres, if anything tells.
    cut
        Number of annotations that others took pixels from before.
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
